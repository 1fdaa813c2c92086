package awswire

import (
	"reflect"
	"strings"
	"sync"
	"time"
)

// location is where a member travels.
type location uint8

const (
	inBody location = iota
	inURI
	inQuery
	inHeader
	inHeaders // a map: all headers with a prefix
	inStatus
	inPayload // the whole body
)

// plan is what the codecs and the validator know of a structure.
type plan struct {
	fields  []field
	byName  map[string]int // members in the body, by wire name
	payload int            // index of the payload member, or -1
}

type field struct {
	index    int    // in the Go struct
	member   string // as in the model
	lower    string // as in messages: memorySize
	name     string // on the wire, at its location
	loc      location
	required bool
	check    *check // nil when the shape has no constraints
}

// check is a Constraint with what it refers to.
type check struct {
	*Constraint
	rx        func() *pattern // nil without a pattern
	key, elem *check
}

var (
	plans     sync.Map // reflect.Type → *plan
	timeType  = reflect.TypeFor[time.Time]()
	bytesType = reflect.TypeFor[[]byte]()
)

// planOf returns the plan of a generated struct type, made on first use.
func planOf(s *Service, t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, _ := plans.LoadOrStore(t, newPlan(s, t))
	return p.(*plan)
}

func newPlan(s *Service, t reflect.Type) *plan {
	p := &plan{byName: map[string]int{}, payload: -1}
	for i := range t.NumField() {
		f := field{index: i}
		for j, part := range strings.Split(t.Field(i).Tag.Get("aws"), ",") {
			key, value, _ := strings.Cut(part, "=")
			if j == 0 {
				f.member, f.lower, f.name = key, strings.ToLower(key[:1])+key[1:], key
				continue
			}
			switch key {
			case "required":
				f.required = true
			case "shape":
				f.check = newCheck(s, value)
			case "name":
				f.name = value
			case "uri":
				f.loc, f.name = inURI, value
			case "query":
				f.loc, f.name = inQuery, value
			case "header":
				f.loc, f.name = inHeader, value
			case "headers":
				f.loc, f.name = inHeaders, value
			case "status":
				f.loc = inStatus
			case "payload":
				f.loc, p.payload = inPayload, len(p.fields)
			}
		}
		if f.loc == inBody {
			p.byName[f.name] = len(p.fields)
		}
		p.fields = append(p.fields, f)
	}
	return p
}

func newCheck(s *Service, shape string) *check {
	if shape == "" {
		return nil
	}
	c := s.constraint(shape)
	if c == nil {
		return nil
	}
	out := &check{Constraint: c, key: newCheck(s, c.Key), elem: newCheck(s, c.Elem)}
	if c.Pattern != "" {
		out.rx = sync.OnceValue(func() *pattern { return mustPattern(c.Pattern) })
	}
	return out
}

// isStruct tells whether t is a structure of the model; time.Time is a scalar.
func isStruct(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != timeType }

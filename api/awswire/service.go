package awswire

import "sort"

// Protocol is a wire format of AWS.
type Protocol string

// The protocols that the codecs speak.
const (
	RestJSON Protocol = "rest-json"
	Query    Protocol = "query"
	JSON     Protocol = "json" // JSON 1.0 and 1.1: the operation is named by X-Amz-Target

	restXML Protocol = "rest-xml" // known well enough to answer an error
)

// Service is the generated description of an AWS service.
type Service struct {
	Name         string // as in the SigV4 scope: "lambda"
	ID           string // as people write it: "Lambda"
	APIVersion   string // "2015-03-31"
	Protocol     Protocol
	JSONVersion  string // "1.0" or "1.1" for JSON
	TargetPrefix string // of X-Amz-Target
	XMLNamespace string
	Operations   []Operation  // by name
	Errors       []ErrorShape // by name
	Constraints  []Constraint // by shape name
}

// Operation is one operation of a service.
type Operation struct {
	Name          string
	Method        string
	URI           string // pattern, as in the model: "/2015-03-31/functions/{FunctionName}?find=X"
	Status        int    // HTTP status of success
	ResultWrapper string // Query: the element around the output
	NewInput      func() any
	NewOutput     func() any
}

// ErrorShape is an error that the model declares.
type ErrorShape struct {
	Name       string // the exception's name in SDKs
	Code       string // on the wire, where it differs from Name
	Status     int
	Server     bool   // a fault of the service, not of the caller
	MessageKey string // "message" or "Message"; empty when the model declares none
	TypeKey    bool   // the body carries "Type": "User" or "Service"
}

// Constraint is what the model demands of a scalar, list or map shape.
type Constraint struct {
	Shape     string
	HasMin    bool
	HasMax    bool
	Min, Max  float64 // of a number; of the length of a string, blob, list or map
	Pattern   string  // Java regular expression, printed in messages as it stands here
	Enum      []string
	Unchecked bool   // Enum is for handlers to check
	Sensitive bool   // the value is kept out of messages
	Key, Elem string // constrained shapes of map keys and of list elements or map values
}

// None is the input or output of an operation that has none.
type None struct{}

// Operation returns the operation with that name, or nil.
func (s *Service) Operation(name string) *Operation {
	i := sort.Search(len(s.Operations), func(i int) bool { return s.Operations[i].Name >= name })
	if i < len(s.Operations) && s.Operations[i].Name == name {
		return &s.Operations[i]
	}
	return nil
}

// ErrorShape finds a declared error by its wire code or by its exception name; nil when the model declares none.
func (s *Service) ErrorShape(code string) *ErrorShape {
	for i := range s.Errors {
		if e := &s.Errors[i]; e.Name == code || e.Code == code {
			return e
		}
	}
	return nil
}

// Enum returns the values that the model lists for a shape; nil when it lists none.
func (s *Service) Enum(shape string) []string {
	if c := s.constraint(shape); c != nil {
		return c.Enum
	}
	return nil
}

func (s *Service) constraint(shape string) *Constraint {
	i := sort.Search(len(s.Constraints), func(i int) bool { return s.Constraints[i].Shape >= shape })
	if i < len(s.Constraints) && s.Constraints[i].Shape == shape {
		return &s.Constraints[i]
	}
	return nil
}

// Ptr returns a pointer to v: optional members are pointers, so that absent and zero are told apart.
func Ptr[T any](v T) *T { return &v }

// Value returns what p points at, or the zero value when it is nil.
func Value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

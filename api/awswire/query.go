package awswire

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Form returns the parameters of a Query request: those of the query string and of the form in the body.
func (r *Request) Form() (url.Values, error) {
	if r.form != nil {
		return r.form, nil
	}
	body, err := r.Body()
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, malformed("The request's form cannot be read: " + err.Error())
	}
	for name, values := range r.HTTP.URL.Query() {
		if _, ok := form[name]; !ok {
			form[name] = values
		}
	}
	r.form = form
	return form, nil
}

// formNode is a form as a tree: Tags.member.1.Key=x is Tags → member → 1 → Key → "x".
type formNode struct {
	value    string
	set      bool
	children map[string]*formNode
}

func (n *formNode) child(name string) *formNode {
	if n == nil {
		return nil
	}
	return n.children[name]
}

func formTree(form url.Values) *formNode {
	root := new(formNode)
	for name, values := range form {
		node := root
		for part := range strings.SplitSeq(name, ".") {
			if node.children == nil {
				node.children = map[string]*formNode{}
			}
			if node.children[part] == nil {
				node.children[part] = new(formNode)
			}
			node = node.children[part]
		}
		node.value, node.set = values[0], true
	}
	return root
}

// numbered returns the children 1, 2, 3, … in order, whatever gaps there are.
func (n *formNode) numbered() []*formNode {
	var keys []int
	for k := range n.children {
		if i, err := strconv.Atoi(k); err == nil {
			keys = append(keys, i)
		}
	}
	sort.Ints(keys)
	list := make([]*formNode, len(keys))
	for i, k := range keys {
		list[i] = n.children[strconv.Itoa(k)]
	}
	return list
}

func (r *Request) decodeForm(v reflect.Value) error {
	form, err := r.Form()
	if err != nil {
		return err
	}
	return setForm(r.Service, v, formTree(form))
}

func setForm(s *Service, v reflect.Value, n *formNode) error {
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		if err := setForm(s, p.Elem(), n); err != nil {
			return err
		}
		v.Set(p)
		return nil
	}
	switch t := v.Type(); {
	case t == bytesType:
		b, err := base64.StdEncoding.DecodeString(n.value)
		if err != nil {
			return malformed("A blob is not valid base64: " + err.Error())
		}
		v.SetBytes(b)
	case isStruct(t):
		for _, f := range planOf(s, t).fields {
			if c := n.child(f.name); c != nil {
				if err := setForm(s, v.Field(f.index), c); err != nil {
					return err
				}
			}
		}
	case t.Kind() == reflect.Slice:
		list := reflect.MakeSlice(t, 0, 4)
		items := n
		if m := n.child("member"); m != nil {
			items = m
		}
		for _, c := range items.numbered() {
			e := reflect.New(t.Elem()).Elem()
			if err := setForm(s, e, c); err != nil {
				return err
			}
			list = reflect.Append(list, e)
		}
		v.Set(list)
	case t.Kind() == reflect.Map:
		m := reflect.MakeMap(t)
		items := n
		if e := n.child("entry"); e != nil {
			items = e
		}
		for _, c := range items.numbered() {
			key, value := c.child("key"), c.child("value")
			if key == nil || value == nil {
				continue
			}
			e := reflect.New(t.Elem()).Elem()
			if err := setForm(s, e, value); err != nil {
				return err
			}
			m.SetMapIndex(reflect.ValueOf(key.value), e)
		}
		v.Set(m)
	default:
		return setText(v, n.value)
	}
	return nil
}

// xmlResponse is the answer of a Query operation: its result in its wrapper, and the request id.
func xmlResponse(r *Request, out reflect.Value) []byte {
	var b bytes.Buffer
	name := r.Operation.Name + "Response"
	b.WriteString("<" + name + ` xmlns="` + r.Service.XMLNamespace + `">`)
	if wrapper := r.Operation.ResultWrapper; wrapper != "" {
		b.WriteString("<" + wrapper + ">")
		xmlStruct(r.Service, &b, out)
		b.WriteString("</" + wrapper + ">")
	}
	b.WriteString("<ResponseMetadata><RequestId>" + r.ID + "</RequestId></ResponseMetadata></" + name + ">")
	return b.Bytes()
}

func xmlStruct(s *Service, b *bytes.Buffer, v reflect.Value) {
	for _, f := range planOf(s, v.Type()).fields {
		if value := v.Field(f.index); !absent(value) {
			xmlElement(s, b, f.name, value)
		}
	}
}

func xmlElement(s *Service, b *bytes.Buffer, name string, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	b.WriteString("<" + name + ">")
	switch t := v.Type(); {
	case t == timeType:
		b.WriteString(v.Interface().(time.Time).UTC().Format("2006-01-02T15:04:05Z"))
	case t == bytesType:
		b.WriteString(base64.StdEncoding.EncodeToString(v.Bytes()))
	case isStruct(t):
		xmlStruct(s, b, v)
	case t.Kind() == reflect.Slice:
		for i := range v.Len() {
			xmlElement(s, b, "member", v.Index(i))
		}
	case t.Kind() == reflect.Map:
		for _, k := range sortedMapKeys(v) {
			b.WriteString("<entry>")
			xmlElement(s, b, "key", k)
			xmlElement(s, b, "value", v.MapIndex(k))
			b.WriteString("</entry>")
		}
	default:
		_ = xml.EscapeText(b, []byte(show(v))) // a buffer never fails
	}
	b.WriteString("</" + name + ">")
}

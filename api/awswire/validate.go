package awswire

import (
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
)

// ValidationError lists the constraints that an input breaks, in AWS's words.
type ValidationError struct {
	Violations []string
}

func (e *ValidationError) Error() string {
	s := "s"
	if len(e.Violations) == 1 {
		s = ""
	}
	return fmt.Sprintf("%d validation error%s detected: %s", len(e.Violations), s, strings.Join(e.Violations, "; "))
}

// Validate checks an input of the service (a pointer to a generated struct) against the model's constraints. The error
// is a *ValidationError.
func Validate(s *Service, in any) error {
	v := validator{service: s}
	v.structure("", reflect.ValueOf(in).Elem())
	if len(v.found) == 0 {
		return nil
	}
	return &ValidationError{Violations: v.found}
}

type validator struct {
	service *Service
	found   []string
}

func (v *validator) add(path, value, constraint string) {
	v.found = append(v.found, "Value "+value+"at '"+path+"' failed to satisfy constraint: "+constraint)
}

func (v *validator) structure(path string, s reflect.Value) {
	for _, f := range planOf(v.service, s.Type()).fields {
		value := s.Field(f.index)
		at := f.lower
		if path != "" {
			at = path + "." + at
		}
		if absent(value) {
			if f.required {
				v.add(at, "null ", "Member must not be null")
			}
			continue
		}
		v.value(at, value, f.check)
	}
}

func (v *validator) value(path string, value reflect.Value, c *check) {
	if value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	if isStruct(value.Type()) {
		v.structure(path, value)
		return
	}
	if c != nil {
		shown := "'" + show(value) + "' "
		if c.Sensitive {
			shown = ""
		}
		for _, text := range c.violations(value) {
			v.add(path, shown, text)
		}
		if c.key != nil {
			v.elements(path, shown, mapKeys, c.key, sortedMapKeys(value))
		}
		if c.elem != nil && value.Type() != bytesType {
			prefix, elems := "Member must satisfy constraint: ", []reflect.Value(nil)
			if value.Kind() == reflect.Map {
				prefix = "Map value must satisfy constraint: "
				for _, k := range sortedMapKeys(value) {
					elems = append(elems, value.MapIndex(k))
				}
			} else {
				for i := range value.Len() {
					elems = append(elems, value.Index(i))
				}
			}
			v.elements(path, shown, prefix, c.elem, elems)
		}
	}
	v.nested(path, value)
}

// nested walks into lists and maps of structures, whose elements have paths of their own.
func (v *validator) nested(path string, value reflect.Value) {
	switch {
	case value.Kind() == reflect.Slice && isStruct(value.Type().Elem()):
		for i := range value.Len() {
			v.structure(path+"."+strconv.Itoa(i+1)+".member", value.Index(i))
		}
	case value.Kind() == reflect.Map && isStruct(value.Type().Elem()):
		for _, k := range sortedMapKeys(value) {
			v.structure(path+"."+k.String()+".member", value.MapIndex(k))
		}
	}
}

const mapKeys = "Map keys must satisfy constraint: "

// elements reports, once for the whole collection as AWS does, the constraints of its elements when one breaks them.
func (v *validator) elements(path, shown, prefix string, c *check, elems []reflect.Value) {
	for _, e := range elems {
		if len(c.violations(e)) > 0 {
			texts := c.texts()
			if prefix != mapKeys { // keys cannot be null
				texts = append(texts, "Member must not be null")
			}
			v.add(path, shown, prefix+"["+strings.Join(texts, ", ")+"]")
			return
		}
	}
}

// violations returns the texts of the constraints that a present value breaks.
func (c *check) violations(value reflect.Value) []string {
	var found []string
	size, text := measure(value)
	if c.HasMax && size > c.Max {
		found = append(found, c.maxText(value.Kind()))
	}
	if c.HasMin && size < c.Min {
		found = append(found, c.minText(value.Kind()))
	}
	if c.rx != nil && !c.rx().satisfied(text) {
		found = append(found, c.patternText())
	}
	if len(c.Enum) > 0 && !c.Unchecked && !contains(c.Enum, text) {
		found = append(found, c.enumText())
	}
	return found
}

// texts returns all constraints of an element, broken or not.
func (c *check) texts() []string {
	kind := reflect.String
	var all []string
	if c.HasMax {
		all = append(all, c.maxText(kind))
	}
	if c.HasMin {
		all = append(all, c.minText(kind))
	}
	if c.Pattern != "" {
		all = append(all, c.patternText())
	}
	if len(c.Enum) > 0 {
		all = append(all, c.enumText())
	}
	return all
}

func (c *check) maxText(k reflect.Kind) string {
	return "Member must have " + quantity(k) + " less than or equal to " + strconv.FormatFloat(c.Max, 'f', -1, 64)
}

func (c *check) minText(k reflect.Kind) string {
	return "Member must have " + quantity(k) + " greater than or equal to " + strconv.FormatFloat(c.Min, 'f', -1, 64)
}

func (c *check) patternText() string {
	return "Member must satisfy regular expression pattern: " + c.Pattern
}

func (c *check) enumText() string {
	return "Member must satisfy enum value set: [" + strings.Join(c.Enum, ", ") + "]"
}

func quantity(k reflect.Kind) string {
	switch k {
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "value"
	}
	return "length"
}

// measure returns what Min and Max bound, and a string's text.
func measure(value reflect.Value) (float64, string) {
	switch value.Kind() {
	case reflect.String:
		s := value.String()
		return float64(utf16Len(s)), s
	case reflect.Int, reflect.Int64:
		return float64(value.Int()), ""
	case reflect.Float64:
		return value.Float(), ""
	case reflect.Slice, reflect.Map:
		return float64(value.Len()), ""
	}
	return 0, ""
}

// utf16Len is the length as Java counts it.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// show prints a value as Java's toString does.
func show(value reflect.Value) string {
	switch value.Kind() {
	case reflect.Pointer:
		return show(value.Elem())
	case reflect.Slice:
		if value.Type() == bytesType {
			return fmt.Sprintf("java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]", value.Len(), value.Len())
		}
		parts := make([]string, value.Len())
		for i := range parts {
			parts[i] = show(value.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		var parts []string
		for _, k := range sortedMapKeys(value) {
			parts = append(parts, k.String()+"="+show(value.MapIndex(k)))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case reflect.Struct:
		return value.Type().Name() + "(…)"
	}
	return fmt.Sprint(value.Interface())
}

func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return v.IsNil()
	}
	return false
}

func sortedMapKeys(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	return keys
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

package lambda

import (
	"strings"

	"mayfly"
	"mayfly/api/awswire"
)

// target is the function that a request names, and the qualifier it names it with.
type target struct {
	id        mayfly.FunctionID
	qualifier string // "" when the request names none
}

// arn is the target's ARN as the caller named it.
func (t target) arn() string { return t.id.ARN(t.qualifier) }

// target reads a function name in any of Lambda's forms: name, name:qualifier, account:function:name, or ARN. The
// qualifier may stand in the name or in a parameter of its own, and must be the same when it stands in both. Names have
// passed the model's pattern.
func (s *Service) target(r *awswire.Request, name, qualifier string) (target, error) {
	t, ok := parseName(name)
	if !ok {
		return t, mayfly.Errorf(mayfly.KindInvalid, "%s is not a function name or ARN", name)
	}
	switch {
	case t.qualifier == "":
		t.qualifier = qualifier
	case qualifier != "" && qualifier != t.qualifier:
		return t, mayfly.Errorf(mayfly.KindInvalid,
			"The derived qualifier from the function name does not match the specified qualifier.")
	}
	if t.id.Account == "" {
		t.id.Account = r.Account()
	}
	if t.id.Region == "" {
		t.id.Region = r.Region
	}
	if t.id.Region != r.Region {
		return t, mayfly.Errorf(mayfly.KindNotFound, "Functions from '%s' are not reachable in this region ('%s')", t.id.Region, r.Region)
	}
	if t.id.Account != r.Account() {
		return t, notFound(t)
	}
	return t, nil
}

func notFound(t target) error {
	return mayfly.Errorf(mayfly.KindNotFound, "Function not found: %s", t.arn())
}

// parseName splits a name into what it says; it allocates nothing.
func parseName(name string) (t target, ok bool) {
	rest := name
	if strings.HasPrefix(rest, "arn:") {
		parts := rest[len("arn:"):]
		partition, tail, ok := strings.Cut(parts, ":")
		if !ok || !strings.HasPrefix(partition, "aws") || !strings.HasPrefix(tail, "lambda:") {
			return t, false
		}
		rest = tail[len("lambda:"):]
	}
	if part, tail, more := strings.Cut(rest, ":"); more && awswire.IsRegion(part) {
		t.id.Region, rest = part, tail
	}
	if part, tail, more := strings.Cut(rest, ":"); more && awswire.IsAccount(part) {
		t.id.Account, rest = part, tail
	}
	if part, tail, more := strings.Cut(rest, ":"); more && part == "function" {
		rest = tail
	}
	t.id.Name, t.qualifier, ok = strings.Cut(rest, ":")
	if ok && !isQualifier(t.qualifier) {
		return t, false
	}
	return t, isName(t.id.Name)
}

func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !wordByte(s[i]) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 140
}

func isQualifier(s string) bool {
	for i := 0; i < len(s); i++ {
		if !wordByte(s[i]) && s[i] != '$' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 128
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// lookup finds the version that a target names.
func (s *Service) lookup(t target) (*mayfly.Version, error) {
	v, err := s.options.Functions.Lookup(t.id, t.qualifier)
	return found(t, v, err)
}

// routed finds the version that an invocation of a target goes to.
func (s *Service) routed(t target) (*mayfly.Version, error) {
	v, err := s.options.Functions.Route(t.id, t.qualifier)
	return found(t, v, err)
}

func found(t target, v *mayfly.Version, err error) (*mayfly.Version, error) {
	if err != nil {
		if mayfly.KindOf(err) == mayfly.KindNotFound {
			return nil, notFound(t)
		}
		return nil, err
	}
	return v, nil
}

// unqualified is target for operations that act on $LATEST or on the whole function.
func (s *Service) unqualified(r *awswire.Request, name string) (target, error) {
	t, err := s.target(r, name, "")
	if err == nil && t.qualifier != "" && t.qualifier != mayfly.Latest {
		return t, mayfly.Errorf(mayfly.KindInvalid,
			"This operation is not permitted on published versions or aliases: name the function without %q.", ":"+t.qualifier)
	}
	t.qualifier = ""
	return t, err
}

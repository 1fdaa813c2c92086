package awswire

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// pattern is a Java regular expression of a model, made to run on RE2. It matches whole strings.
type pattern struct {
	match *regexp.Regexp
	not   *regexp.Regexp // a string that matches this does not satisfy the pattern
}

func (p *pattern) satisfied(s string) bool {
	return p.match.MatchString(s) && (p.not == nil || !p.not.MatchString(s))
}

// lookarounds are the patterns of the models that look ahead or behind, which RE2 cannot: each as a pattern that must
// match and one that must not. A test finds those of new models that are missing here.
var lookarounds = map[string][2]string{
	`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`:              {`[a-zA-Z0-9-_]+`, `[0-9]+`},
	`((?!^\d+$)^[0-9a-zA-Z-_]+$)`:               {`[0-9a-zA-Z-_]+`, `\d+`},
	`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`: {`[_a-zA-Z0-9][^$]*`, `system\x2e[\s\S]*`},
	`[0-9A-Za-z\.\-_]*(?<!\.)`:                  {`[0-9A-Za-z\.\-_]*`, `[\s\S]*\.`},
	`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`: {`[a-z0-9][a-z0-9-]{1,61}[a-z0-9]`, `[\s\S]*--[\s\S]*`},
}

var javaUnicode = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`) })

func compilePattern(java string) (*pattern, error) {
	parts, ok := lookarounds[java]
	if !ok {
		parts = [2]string{java, ""}
	}
	p := new(pattern)
	var err error
	if p.match, err = compileWhole(parts[0]); err != nil {
		return nil, err
	}
	if parts[1] != "" {
		p.not, err = compileWhole(parts[1])
	}
	return p, err
}

func compileWhole(java string) (*regexp.Regexp, error) {
	return regexp.Compile(`\A(?:` + javaUnicode().ReplaceAllString(java, `\x{$1}`) + `)\z`)
}

// mustPattern panics on a pattern that RE2 does not know; the tests compile all patterns of all models.
func mustPattern(java string) *pattern {
	p, err := compilePattern(java)
	if err != nil {
		panic(fmt.Sprintf("awswire: pattern %s: %v", strings.TrimSpace(java), err))
	}
	return p
}

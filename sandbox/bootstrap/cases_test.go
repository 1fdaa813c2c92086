package bootstrap_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mayfly/runtimeapi"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testCase is a handler and what it is given. What comes of it is rendered as text: answers, log, exit status.
type testCase struct {
	name     string // of the case; the handler when empty
	handler  string
	payloads []string // "{}" when empty
	env      []string
	client   string // client context
	identity string // cognito identity
	trace    string // replaces the usual trace id; "-" is none
}

func (c testCase) title() string {
	if c.name != "" {
		return c.name
	}
	return c.handler
}

// starter starts the runtime under test for a case.
type starter func(t *testing.T, c testCase) *instance

// render runs the case and says what came of it.
func (c testCase) render(t *testing.T, start starter, codeDir string) string {
	t.Helper()
	i := start(t, c)
	var b strings.Builder
	fmt.Fprintf(&b, "== %s\n", c.title())
	payloads := c.payloads
	if len(payloads) == 0 {
		payloads = []string{"{}"}
	}
	ended := false
	select {
	case <-i.api.Ready():
	case <-i.exited:
		ended = true
	case <-time.After(time.Minute):
		t.Fatalf("never ready\noutput: %s", i.output)
	}
	if fe := i.api.InitError(); fe != nil {
		fmt.Fprintf(&b, "init error %s %s\n", fe.Type, fe.Body)
		ended = true
	}
	for n, p := range payloads {
		if ended {
			break
		}
		i.idleOrExited()
		ev := event(n+1, p)
		ev.ClientContext, ev.CognitoIdentity = c.client, c.identity
		if c.trace != "" {
			ev.TraceID = strings.TrimPrefix(c.trace, "-")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		r, err := i.api.Invoke(ctx, ev)
		cancel()
		switch {
		case errors.Is(err, runtimeapi.ErrClosed):
			b.WriteString("no answer\n")
			ended = true
		case err != nil:
			t.Fatalf("%s: %v\noutput: %s", c.title(), err, i.output)
		case r.Error != nil:
			fmt.Fprintf(&b, "error %s %s\n", r.Error.Type, r.Payload)
		default:
			fmt.Fprintf(&b, "answer %s %s\n", r.ContentType, printable(r.Payload))
		}
	}
	if !ended {
		ended = i.idleOrExited()
	}
	if ended {
		fmt.Fprintf(&b, "exit status %d\n", i.wait())
	} else { // its end brings all that it has written
		_ = i.cmd.Process.Kill()
		<-i.exited
	}
	b.WriteString(indented(i.output.String()))
	return normal(b.String(), codeDir)
}

// idleOrExited waits until the runtime waits for an event or is gone, and reports the latter.
func (i *instance) idleOrExited() bool {
	select {
	case <-i.next:
		return false
	case <-i.exited:
		return true
	case <-time.After(time.Minute):
		i.t.Fatalf("neither idle nor gone\noutput: %s", i.output)
		return true
	}
}

func printable(b []byte) string {
	if !utf8.Valid(b) || bytes.ContainsRune(b, 0) {
		return fmt.Sprintf("%q", b)
	}
	return string(b)
}

func indented(log string) string {
	if log == "" {
		return ""
	}
	log = strings.ReplaceAll(log, "\r", "␍")
	return "\t" + strings.ReplaceAll(strings.TrimSuffix(log, "\n"), "\n", "\n\t") + "\n"
}

var (
	isoTime     = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z`)
	epochMS     = regexp.MustCompile(`\[\d{13}\]`)
	jsonFrame   = regexp.MustCompile(`,?"    at [^"]*"`)
	plainFrame  = regexp.MustCompile(`␍    at [^␍\n]*`)
	escFrame    = regexp.MustCompile(`(\\n|\n\t?)    at [^\\\n"]*`)
	runtimeDir  = regexp.MustCompile(`(file://)?/[^\s"()]*?/(bootstrap/[0-9a-f]{16}/(nodejs|python)|awslambdaric|aws-lambda-ric/dist)/`)
	jsonPyFrame = regexp.MustCompile(`"  File \\"[^"]*\\", line \d+, in [^"]*?\\n([^"\\]|\\.)*"(, )?`)
	textPyFrame = regexp.MustCompile(`␍\x{a0}\x{a0}File "[^"]*", line \d+, in [^␍\n]*(␍\x{a0}{4}[^␍\n]*)?`)
	nodeFooter  = regexp.MustCompile(`(?m)^\t(Node\.js v.*|node:internal.*)\n`)
)

// normal removes what changes from run to run: times, folders, and frames of the runtime and of Node itself.
func normal(s, codeDir string) string {
	s = strings.ReplaceAll(s, "file://"+codeDir, "/var/task")
	s = strings.ReplaceAll(s, codeDir, "/var/task")
	s = runtimeDir.ReplaceAllString(s, "/var/runtime/")
	s = isoTime.ReplaceAllStringFunc(s, func(m string) string {
		if len(m) == len("2006-01-02T15:04:05Z") {
			return "<seconds>"
		}
		return "<time>"
	})
	s = epochMS.ReplaceAllString(s, "[<ms>]")
	drop := func(m string) string {
		if strings.Contains(m, "/var/task") {
			return m
		}
		return ""
	}
	s = jsonPyFrame.ReplaceAllStringFunc(s, drop)
	s = textPyFrame.ReplaceAllStringFunc(s, drop)
	s = jsonFrame.ReplaceAllStringFunc(s, drop)
	s = plainFrame.ReplaceAllStringFunc(s, drop)
	s = escFrame.ReplaceAllStringFunc(s, drop)
	return nodeFooter.ReplaceAllString(s, "")
}

// checkGolden runs the cases and compares with testdata/golden/NAME.txt.
func checkGolden(t *testing.T, name string, cases []testCase, start starter, codeDir string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".txt")
	golden, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Skipf("no golden file for %s: %v", name, err)
	}
	want := sections(string(golden))
	got := make([]string, len(cases))
	t.Run("cases", func(t *testing.T) {
		for i, c := range cases {
			t.Run(c.title(), func(t *testing.T) {
				t.Parallel()
				got[i] = c.render(t, start, codeDir)
				if !*update && got[i] != want[c.title()] {
					t.Errorf("got\n%s\nwant\n%s", got[i], want[c.title()])
				}
			})
		}
	})
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(got, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func sections(s string) map[string]string {
	m := map[string]string{}
	for _, part := range strings.Split(s, "== ")[1:] {
		title, _, _ := strings.Cut(part, "\n")
		m[title] = "== " + part
	}
	return m
}

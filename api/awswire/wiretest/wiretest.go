// Package wiretest holds checks that the tests of AWS services share.
package wiretest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"mayfly/api/awswire"
)

// UpdateEnv is the environment variable that makes Compatibility rewrite the page instead of comparing.
const UpdateEnv = "UPDATE_COMPATIBILITY"

// The states of an operation in the compatibility page.
const (
	done    = "done"
	partial = "partial"
	missing = "missing"
)

type row struct{ operation, state, notes string }

// Compatibility compares the service's table in docs/compatibility.md with what its endpoint implements: every operation
// of the model has one row, "missing" when nothing implements it, and "done" or "partial" (with a note on what lacks)
// otherwise. With UPDATE_COMPATIBILITY=1 in the environment it corrects the table and keeps the notes.
func Compatibility(t *testing.T, page string, e *awswire.Endpoint) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	s := e.Describe()
	before, rows, after, err := table(string(text), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	var want []row
	implemented := e.Implemented()
	counts := map[string]int{}
	for _, op := range s.Operations {
		r := row{operation: op.Name, state: missing}
		if i := slices.IndexFunc(rows, func(r row) bool { return r.operation == op.Name }); i >= 0 {
			r = rows[i]
		}
		if has := slices.Contains(implemented, op.Name); has && r.state == missing {
			r.state = done
		} else if !has {
			r.state = missing
		}
		if r.state == partial && r.notes == "" {
			t.Errorf("%s is partial: say what lacks", op.Name)
		}
		if r.state != done && r.state != partial && r.state != missing {
			t.Errorf("%s is %q; it can be done, partial or missing", op.Name, r.state)
		}
		counts[r.state]++
		want = append(want, r)
	}
	summary := fmt.Sprintf("%d operations: %d done, %d partial, %d missing.\n\n", len(want), counts[done], counts[partial], counts[missing])
	corrected := before + summary + format(want) + after
	if os.Getenv(UpdateEnv) != "" {
		if err := os.WriteFile(page, []byte(corrected), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if corrected != string(text) {
		t.Errorf("the table of %s in %s differs from what is implemented; run the test with %s=1 and read the difference",
			s.ID, page, UpdateEnv)
	}
}

const heading = "| Operation | State | Notes |\n|---|---|---|\n"

// table finds the rows of the section "## ID operations", between its heading and the next empty line.
func table(text, id string) (before string, rows []row, after string, err error) {
	title := "## " + id + " operations\n\n"
	start := strings.Index(text, title)
	if start < 0 {
		return "", nil, "", fmt.Errorf("the page has no section %q", strings.TrimSpace(title))
	}
	start += len(title)
	body := text[start:]
	end := strings.Index(body, "\n## ")
	if end < 0 {
		end = len(body)
	}
	for line := range strings.SplitSeq(body[:end], "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 || strings.TrimSpace(cells[0]) == "Operation" {
			continue
		}
		rows = append(rows, row{strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])})
	}
	return text[:start], rows, body[end:], nil
}

func format(rows []row) string {
	var b strings.Builder
	b.WriteString(heading)
	for _, r := range rows {
		b.WriteString(strings.TrimSpace(strings.Join([]string{"", r.operation, r.state, r.notes, ""}, " | ")))
		b.WriteString("\n")
	}
	return strings.ReplaceAll(b.String(), "|  |", "| |")
}

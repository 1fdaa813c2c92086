package pool

import (
	"fmt"
	"syscall"
	"testing"

	"mayfly/sandbox/bootstrap"
)

func TestEntryFailureTellsTheFunctionsMistakeFromOurs(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{fmt.Errorf("no memory"), ""},
		{fmt.Errorf("clone: %w", syscall.EAGAIN), ""},
		{fmt.Errorf("execve: %w", syscall.ENOEXEC), "fork/exec /var/task/bootstrap: exec format error"},
		{fmt.Errorf("execve: %w", syscall.EACCES), "fork/exec /var/task/bootstrap: permission denied"},
		{&bootstrap.EntrypointError{Tried: []string{"/var/task/bootstrap", "/opt/bootstrap"}}, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"},
	} {
		got := ""
		if f := entryFailure(c.err, "/var/task/bootstrap"); f != nil {
			got = f.lines[0]
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"mayfly"
)

// acquire locks the database for this process. The kernel drops the lock when the process ends, however it ends. The lock is
// on a file of its own because SQLite's locks on the database file would be lost if we opened and closed it.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		// Who holds it, for the message below.
		if err = f.Truncate(0); err == nil {
			_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		}
		if err == nil {
			return f, nil
		}
	}
	defer f.Close()
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("sqlite: lock %s: %w", f.Name(), err)
	}
	holder := "another Mayfly process"
	if b, rerr := io.ReadAll(io.LimitReader(f, 32)); rerr == nil && len(b) > 0 {
		holder += " (pid " + strings.TrimSpace(string(b)) + ")"
	}
	return nil, mayfly.Errorf(mayfly.KindUnavailable, "the data directory %s is in use by %s: stop it, or choose another directory", filepath.Dir(path), holder)
}

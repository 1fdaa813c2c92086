//go:build !linux

package native

import (
	"mayfly"
	"mayfly/sandbox"
)

// Driver exists on Linux only.
type Driver struct{ sandbox.Driver }

// New fails: native sandboxes are made of the Linux kernel's means.
func New(Options) (*Driver, error) {
	return nil, mayfly.Errorf(mayfly.KindUnavailable, "native sandboxes need Linux; for development here use --isolation=none, which isolates nothing")
}

// IsInit is false where there are no native sandboxes.
func IsInit([]string) bool { return false }

// InitMain does nothing where there are no native sandboxes.
func InitMain() {}

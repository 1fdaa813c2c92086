//go:build unix

package function

import (
	"errors"
	"syscall"
)

// isBadName tells whether the file system refused the name itself.
func isBadName(err error) bool {
	return errors.Is(err, syscall.EILSEQ) || errors.Is(err, syscall.ENAMETOOLONG) || errors.Is(err, syscall.EINVAL)
}

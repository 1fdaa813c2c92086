package cgroup

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// files is what the package asks of the cgroup filesystem. The kernel's own is kernelFiles; tests put a fake before it.
type files interface {
	Mkdir(path string) error
	Rmdir(path string) error
	Write(path, value string) error
	Read(path string) (string, error)
	Dirs(path string) ([]string, error) // names of the groups directly below
	Open(path string, flags int) (int, error)
	WriteFD(fd int, value string) error
	ReadFD(fd int) (string, error)
	Delegated(path string) bool // handed over to us by systemd (Delegate=yes)
}

// kernelFiles uses plain system calls: package os would add a poller registration and a finaliser to each of the dozen
// one-line writes of a start.
type kernelFiles struct{}

func (kernelFiles) Mkdir(path string) error {
	return named("mkdir", path, ignoreEINTR(func() error { return unix.Mkdir(path, 0o755) }))
}

func (kernelFiles) Rmdir(path string) error {
	return named("rmdir", path, ignoreEINTR(func() error { return unix.Rmdir(path) }))
}

func (k kernelFiles) Write(path, value string) error {
	fd, err := k.Open(path, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := k.WriteFD(fd, value); err != nil {
		return named("write "+value+" to", path, err)
	}
	return nil
}

func (k kernelFiles) Read(path string) (string, error) {
	fd, err := k.Open(path, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	s, err := k.ReadFD(fd)
	return s, named("read", path, err)
}

func (kernelFiles) Dirs(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (kernelFiles) Open(path string, flags int) (fd int, err error) {
	err = ignoreEINTR(func() error {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, named("open", path, err)
}

func (kernelFiles) WriteFD(fd int, value string) error {
	return ignoreEINTR(func() error {
		_, err := unix.Write(fd, []byte(value))
		return err
	})
}

func (kernelFiles) ReadFD(fd int) (string, error) {
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := unix.Pread(fd, buf, int64(len(all)))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		if n == 0 {
			return string(bytes.TrimRight(all, "\n")), nil
		}
		all = append(all, buf[:n]...)
	}
}

func (kernelFiles) Delegated(path string) bool {
	buf := make([]byte, 8)
	for _, attr := range []string{"trusted.delegate", "user.delegate"} {
		if n, err := unix.Getxattr(path, attr, buf); err == nil && n > 0 && buf[0] == '1' {
			return true
		}
	}
	return false
}

func ignoreEINTR(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

func named(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}

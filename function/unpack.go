package function

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"mayfly"
)

// verify inflates everything without keeping it: sizes, checksums, compression.
func (p *pkg) verify() error {
	budget := p.limit
	for _, name := range p.files {
		if err := p.inflate(io.Discard, p.nodes[name], &budget); err != nil {
			return err
		}
	}
	return nil
}

// unpack makes the package's files in dir, which must be an empty folder that nobody else writes to. All goes through an
// os.Root, so that even a mistake in readPackage could not write elsewhere; links come last, so that none is there to be
// followed. It does not fsync: the folder is a cache (see codeStore).
func (p *pkg) unpack(dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("function: unpack: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for _, name := range p.dirs {
		if err := root.Mkdir(name, 0o755); err != nil {
			return unpackError(name, err)
		}
		if err := root.Chmod(name, 0o755); err != nil { // the umask took its part
			return unpackError(name, err)
		}
	}
	if err := p.writeFiles(root); err != nil {
		return err
	}
	for _, name := range p.links {
		if err := root.Symlink(p.nodes[name].target, name); err != nil {
			return unpackError(name, err)
		}
	}
	return nil
}

// writeFiles keeps the folder at hand open, as a Root opens every folder on the way to a name: packages have thousands of
// files in deep folders.
func (p *pkg) writeFiles(root *os.Root) (err error) {
	at, folder := "", (*os.Root)(nil)
	leave := func() {
		if folder != nil {
			err = errors.Join(err, folder.Close())
		}
	}
	defer func() { leave() }()
	budget := p.limit
	for _, name := range p.files {
		if dir := path.Dir(name); dir != at {
			leave()
			if folder, err = root.OpenRoot(dir); err != nil {
				return unpackError(dir, err)
			}
			at = dir
		}
		if err := p.writeFile(folder, name, &budget); err != nil {
			return err
		}
	}
	return nil
}

func (p *pkg) writeFile(folder *os.Root, name string, budget *int64) (err error) {
	n, base := p.nodes[name], path.Base(name)
	f, err := folder.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, n.mode)
	if err != nil {
		return unpackError(name, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = unpackError(name, cerr)
		}
		// After Close, which could set it anew. Python compares it with what is noted in a .pyc file, so that without it
		// every cold start would compile what the package brings compiled.
		if t := n.file.Modified; err == nil && t.After(time.Unix(0, 0)) {
			if terr := folder.Chtimes(base, t, t); terr != nil {
				err = unpackError(name, terr)
			}
		}
	}()
	if err := f.Chmod(n.mode); err != nil {
		return unpackError(name, err)
	}
	return p.inflate(f, n, budget)
}

// inflate copies a file's content to w and takes its true size off the budget.
func (p *pkg) inflate(w io.Writer, n *node, budget *int64) error {
	r, err := n.file.Open()
	if err != nil {
		return errBadZip("")
	}
	defer r.Close()
	in := &source{r: io.LimitReader(r, *budget)}
	written, err := io.Copy(w, in)
	if *budget -= written; *budget <= 0 {
		return errUnzippedSize(p.limit)
	}
	switch {
	case in.err != nil:
		return errBadZip("")
	case err != nil:
		return unpackError(n.file.Name, err)
	}
	return nil
}

// source remembers a read error, which is the zip's fault; a write error is the disk's.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// unpackError is for errors of the file system. Names that only it can judge (encodings) are the package's fault.
func unpackError(name string, err error) error {
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrInvalid) || isBadName(err) {
		return errBadZip(fmt.Sprintf("%q cannot be made: %v", name, err))
	}
	return mayfly.Errorf(mayfly.KindUnavailable, "cannot unpack the deployment package: %w", err)
}

// Package disk is the blob.Store on a local file system: a blob is the file aa/bb/DIGEST, where aa and bb are the digest's
// first characters. It is written as a temporary file in the same file system, fsync'd, renamed, and its folder fsync'd.
package disk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"mayfly/blob"
)

const tmpDir = "tmp"

// Store keeps blobs in a folder that belongs to one process.
type Store struct {
	dir string
}

// Open returns the store in dir, which it makes when it is not there, and removes what a killed process left half written.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir}
	if err := os.RemoveAll(filepath.Join(dir, tmpDir)); err != nil {
		return nil, fmt.Errorf("disk: sweep leftovers: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, tmpDir), 0o700); err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) path(digest string) string {
	return filepath.Join(s.dir, digest[:2], digest[2:4], digest)
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, r io.Reader) (blob.Ref, error) {
	if seeker, ok := r.(io.ReadSeeker); ok {
		ref, done, err := s.putKnown(ctx, seeker)
		if done || err != nil {
			return ref, err
		}
	}
	f, err := os.CreateTemp(filepath.Join(s.dir, tmpDir), "put-*")
	if err != nil {
		return blob.Ref{}, fmt.Errorf("disk: %w", err)
	}
	defer func() {
		// After the rename both fail, which is right.
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	h := sha256.New()
	size, err := copyContext(ctx, io.MultiWriter(f, h), r)
	if err != nil {
		return blob.Ref{}, fmt.Errorf("disk: put: %w", err)
	}
	ref := blob.Ref{Digest: hex.EncodeToString(h.Sum(nil)), Size: size}
	if err := f.Sync(); err != nil {
		return blob.Ref{}, fmt.Errorf("disk: %w", err)
	}
	if err := f.Close(); err != nil {
		return blob.Ref{}, fmt.Errorf("disk: %w", err)
	}
	return ref, s.publish(f.Name(), ref.Digest)
}

// putKnown finds out by reading alone whether the content is stored already; if not, r is back where it was.
func (s *Store) putKnown(ctx context.Context, r io.ReadSeeker) (ref blob.Ref, done bool, err error) {
	start, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return ref, false, nil // a pipe that calls itself a file: it can only be read once
	}
	h := sha256.New()
	size, err := copyContext(ctx, h, r)
	if err != nil {
		return ref, false, fmt.Errorf("disk: put: %w", err)
	}
	ref = blob.Ref{Digest: hex.EncodeToString(h.Sum(nil)), Size: size}
	if s.intact(ctx, ref) {
		// The one who renamed it may not have got to the fsync of the folder.
		err := syncDir(filepath.Dir(s.path(ref.Digest)))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return ref, true, err
		}
	}
	if _, err := r.Seek(start, io.SeekStart); err != nil {
		return ref, false, fmt.Errorf("disk: put: %w", err)
	}
	return ref, false, nil
}

// intact tells whether the blob is there and undamaged: putting the same content again is how a user repairs a blob.
func (s *Store) intact(ctx context.Context, ref blob.Ref) bool {
	r, size, err := s.Open(ctx, ref.Digest)
	if err != nil {
		return false
	}
	defer r.Close()
	if size != ref.Size {
		return false
	}
	_, err = copyContext(ctx, io.Discard, r)
	return err == nil
}

// publish gives a complete file its name. It replaces a file that is there, which has the same content or is damaged.
func (s *Store) publish(tmp, digest string) error {
	path := s.path(digest)
	dir := filepath.Dir(path)
	for _, d := range []string{filepath.Dir(dir), dir} {
		err := os.Mkdir(d, 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("disk: %w", err)
		}
		// Also when it was there: who made it may not have got to the fsync.
		if err := syncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	return syncDir(dir)
}

// Open implements blob.Store.
func (s *Store) Open(_ context.Context, digest string) (io.ReadCloser, int64, error) {
	if !blob.ValidDigest(digest) {
		return nil, 0, fmt.Errorf("disk: %w: %q is not a digest", blob.ErrNotFound, digest)
	}
	f, err := os.Open(s.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("disk: %w: %s", blob.ErrNotFound, digest)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("disk: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, fmt.Errorf("disk: %w", err)
	}
	return &reader{f: f, h: sha256.New(), digest: digest}, info.Size(), nil
}

// Has implements blob.Store.
func (s *Store) Has(_ context.Context, digest string) (bool, error) {
	if !blob.ValidDigest(digest) {
		return false, nil
	}
	_, err := os.Stat(s.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Delete implements blob.Store.
func (s *Store) Delete(_ context.Context, digest string) error {
	if !blob.ValidDigest(digest) {
		return nil
	}
	err := os.Remove(s.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, fn func(blob.Ref) error) error {
	return filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // deleted meanwhile
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() || !blob.ValidDigest(d.Name()) || path != s.path(d.Name()):
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(blob.Ref{Digest: d.Name(), Size: info.Size()})
	})
}

// reader hashes what it reads and checks it at the end.
type reader struct {
	f      *os.File
	h      hash.Hash
	digest string
	end    error // io.EOF or blob.ErrCorrupt once known
}

func (r *reader) Read(p []byte) (int, error) {
	if r.end != nil {
		return 0, r.end
	}
	n, err := r.f.Read(p)
	r.h.Write(p[:n])
	if err == io.EOF {
		if hex.EncodeToString(r.h.Sum(nil)) != r.digest {
			err = fmt.Errorf("disk: %w: %s", blob.ErrCorrupt, r.digest)
		}
		r.end = err
	}
	return n, err
}

func (r *reader) Close() error { return r.f.Close() }

// copyContext is io.Copy that ends when ctx does.
func copyContext(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	return io.Copy(w, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}))
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("disk: sync %s: %w", dir, err)
	}
	return nil
}

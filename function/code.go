package function

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"mayfly"
	"mayfly/blob"
)

const (
	tmpPrefix   = ".tmp-"
	trashPrefix = ".trash-"
	bootFile    = ".boot"
)

// codeStore holds the packages: zips in the blob store, and each unpacked once into the folder dir/DIGEST.
//
// The folders are a cache. They are complete, because they are renamed into place, but not fsync'd, so after a crash of
// the machine they cannot be trusted: the boot they were made under is noted, and another boot starts with none.
type codeStore struct {
	dir    string
	blobs  blob.Store
	limits mayfly.Limits
	log    *slog.Logger

	flights singleflight.Group

	mu    sync.Mutex
	ready map[string]bool      // digests whose folder is there
	pins  map[string]int       // digests that a change under way will refer to
	loose map[string]time.Time // digests that nothing referred to, since when
}

func openCodeStore(o Options) (*codeStore, error) {
	dir, err := filepath.Abs(o.CodeDir)
	if err != nil {
		return nil, err
	}
	c := &codeStore{
		dir: dir, blobs: o.Blobs, limits: o.Limits, log: o.Log,
		ready: make(map[string]bool), pins: make(map[string]int), loose: make(map[string]time.Time),
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("function: %w", err)
	}
	boot := bootID()
	noted, _ := os.ReadFile(filepath.Join(dir, bootFile)) // not there: another boot
	sameBoot := boot != "" && string(noted) == boot
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("function: %w", err)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case blob.ValidDigest(name) && sameBoot:
			c.ready[name] = true
		case blob.ValidDigest(name):
			if err := c.trash(name); err != nil {
				return nil, err
			}
		}
	}
	if !sameBoot {
		if err := os.WriteFile(filepath.Join(dir, bootFile), []byte(boot), 0o600); err != nil {
			return nil, fmt.Errorf("function: %w", err)
		}
	}
	return c, nil
}

// sweep deletes what was given up: by this process, or by one that was killed. leftovers are named before new ones can
// come into being.
func (c *codeStore) sweep(leftovers []string) {
	for _, path := range leftovers {
		if err := os.RemoveAll(path); err != nil {
			c.log.Warn("cannot delete an unpacked package that is no longer needed", "path", path, "error", err)
		}
	}
}

func (c *codeStore) leftovers() []string {
	var paths []string
	entries, _ := os.ReadDir(c.dir) // was readable a moment ago; what stays is swept next time
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tmpPrefix) || strings.HasPrefix(e.Name(), trashPrefix) {
			paths = append(paths, filepath.Join(c.dir, e.Name()))
		}
	}
	return paths
}

// trash takes a folder out of use at once; deleting its files, which takes long, is for later.
func (c *codeStore) trash(digest string) error {
	to, err := os.MkdirTemp(c.dir, trashPrefix)
	if err == nil {
		err = os.Rename(filepath.Join(c.dir, digest), filepath.Join(to, digest))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("function: %w", err)
	}
	return nil
}

// stage checks a package and stores it, zip and folder. The zip is durable when it returns. Until release is called the
// package is not collected; call it once the record that refers to it is in memory, or given up.
func (c *codeStore) stage(ctx context.Context, data []byte, operation string) (ref mayfly.CodeRef, release func(), err error) {
	p, err := readPackage(data, c.limits, operation)
	if err != nil {
		return ref, nil, err
	}
	ref = digestOf(data)
	c.pin(ref.Digest, 1)
	release = func() { c.pin(ref.Digest, -1) }

	var g errgroup.Group
	g.Go(func() error {
		got, err := c.blobs.Put(ctx, bytes.NewReader(data))
		if err == nil && got.Digest != ref.Digest {
			err = fmt.Errorf("function: the blob store calls the package %s, not %s", got.Digest, ref.Digest)
		}
		return err
	})
	g.Go(func() error { return c.ensure(ref.Digest, func() (*pkg, error) { return p, nil }) })
	if err := g.Wait(); err != nil {
		release()
		return ref, nil, err
	}
	return ref, release, nil
}

func digestOf(data []byte) mayfly.CodeRef {
	sum := sha256.Sum256(data)
	return codeRef(hex.EncodeToString(sum[:]), int64(len(data)))
}

func codeRef(digest string, size int64) mayfly.CodeRef {
	ref := mayfly.CodeRef{Digest: digest, Size: size}
	if raw, err := hex.DecodeString(digest); err == nil {
		ref.SHA256 = base64.StdEncoding.EncodeToString(raw)
	}
	return ref
}

func (c *codeStore) pin(digest string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pins[digest] += n; c.pins[digest] == 0 {
		delete(c.pins, digest)
	}
}

// folder returns the unpacked package, from the blob store when it has to be unpacked anew.
func (c *codeStore) folder(digest string) (string, error) {
	if !blob.ValidDigest(digest) {
		return "", mayfly.Errorf(mayfly.KindInternal, "function: %q is not the digest of a package", digest)
	}
	err := c.ensure(digest, func() (*pkg, error) {
		r, _, err := c.blobs.Open(context.Background(), digest)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		return readPackage(data, c.limits, "")
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(c.dir, digest), nil
}

// ensure makes the folder of digest when it is not there. However many ask at once, it is unpacked once.
func (c *codeStore) ensure(digest string, read func() (*pkg, error)) error {
	if c.isReady(digest) {
		return nil
	}
	_, err, _ := c.flights.Do(digest, func() (any, error) {
		if c.isReady(digest) {
			return nil, nil
		}
		p, err := read()
		if err != nil {
			return nil, err
		}
		tmp, err := os.MkdirTemp(c.dir, tmpPrefix)
		if err != nil {
			return nil, fmt.Errorf("function: %w", err)
		}
		defer os.RemoveAll(tmp) // after the rename nothing is there
		if err := os.Chmod(tmp, 0o755); err != nil {
			return nil, fmt.Errorf("function: %w", err)
		}
		if err := p.unpack(tmp); err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := os.Rename(tmp, filepath.Join(c.dir, digest)); err != nil {
			return nil, fmt.Errorf("function: %w", err)
		}
		c.ready[digest] = true
		return nil, nil
	})
	return err
}

func (c *codeStore) isReady(digest string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready[digest]
}

// collect deletes packages that no record refers to, no change under way and no instance uses, and that were so for at
// least grace: an invocation that looked its version up before an update may be about to start an instance of it.
func (c *codeStore) collect(ctx context.Context, referred func() map[string]bool, inUse func(string) bool, now time.Time, grace time.Duration) error {
	candidates := make(map[string]bool)
	if err := c.blobs.List(ctx, func(ref blob.Ref) error { candidates[ref.Digest] = true; return nil }); err != nil {
		return fmt.Errorf("function: collect: %w", err)
	}
	c.mu.Lock()
	for digest := range c.ready {
		candidates[digest] = true
	}
	c.mu.Unlock()
	for digest := range candidates {
		if inUse != nil && inUse(digest) {
			delete(candidates, digest)
		}
	}
	errs := c.discard(ctx, candidates, referred, now, grace)
	c.sweep(c.trashed())
	return errors.Join(errs...)
}

// discard holds mu throughout: a change pins its package before it stores it and lets go only when its record is in memory, so
// that under mu either the pin or the reference is seen.
func (c *codeStore) discard(ctx context.Context, candidates map[string]bool, referred func() map[string]bool, now time.Time, grace time.Duration) (errs []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	refs := referred()
	for digest := range c.loose {
		if !candidates[digest] || refs[digest] {
			delete(c.loose, digest)
		}
	}
	for digest := range candidates {
		if refs[digest] || c.pins[digest] > 0 {
			continue
		}
		since, known := c.loose[digest]
		if !known {
			since = now
			c.loose[digest] = now
		}
		if now.Sub(since) < grace {
			continue
		}
		if c.ready[digest] {
			if err := c.trash(digest); err != nil {
				errs = append(errs, err)
				continue
			}
			delete(c.ready, digest)
		}
		if err := c.blobs.Delete(ctx, digest); err != nil {
			errs = append(errs, fmt.Errorf("function: collect: %w", err))
			continue
		}
		delete(c.loose, digest)
	}
	return errs
}

func (c *codeStore) trashed() []string {
	paths := c.leftovers()
	trash := paths[:0]
	for _, path := range paths {
		if strings.HasPrefix(filepath.Base(path), trashPrefix) {
			trash = append(trash, path)
		}
	}
	return trash
}

// Package blobtest is the suite that every implementation of blob.Store passes.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"mayfly/blob"
)

// Harness is how the suite gets at an implementation.
type Harness struct {
	// Open opens the store at a place that the test chose; the same place again is the same store after a restart.
	Open func(t *testing.T, place string) blob.Store
	// Damage changes the stored bytes of a blob without changing their number; nil when the driver cannot be damaged.
	Damage func(t *testing.T, place, digest string)
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	ctx := t.Context()
	put := func(t *testing.T, s blob.Store, content string) blob.Ref {
		t.Helper()
		ref, err := s.Put(ctx, strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	get := func(t *testing.T, s blob.Store, digest string) string {
		t.Helper()
		r, size, err := s.Open(ctx, digest)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if size != int64(len(b)) {
			t.Fatalf("Open says %d bytes, got %d", size, len(b))
		}
		return string(b)
	}
	list := func(t *testing.T, s blob.Store) map[string]int64 {
		t.Helper()
		all := map[string]int64{}
		if err := s.List(ctx, func(r blob.Ref) error { all[r.Digest] = r.Size; return nil }); err != nil {
			t.Fatal(err)
		}
		return all
	}

	t.Run("put and open", func(t *testing.T) {
		place := t.TempDir()
		s := h.Open(t, place)
		for _, content := range []string{"", "a", strings.Repeat("mayfly ", 100_000)} {
			ref := put(t, s, content)
			if sum := sha256.Sum256([]byte(content)); ref.Digest != hex.EncodeToString(sum[:]) {
				t.Errorf("digest %s is not the SHA-256", ref.Digest)
			}
			if ref.Size != int64(len(content)) {
				t.Errorf("size %d, want %d", ref.Size, len(content))
			}
			if got := get(t, s, ref.Digest); got != content {
				t.Errorf("got %d other bytes", len(got))
			}
			if ok, err := s.Has(ctx, ref.Digest); !ok || err != nil {
				t.Errorf("Has: %v, %v", ok, err)
			}
		}
		again := h.Open(t, place)
		if n := len(list(t, again)); n != 3 {
			t.Errorf("%d blobs after reopening, want 3", n)
		}
	})

	t.Run("put from a stream", func(t *testing.T) {
		s := h.Open(t, t.TempDir())
		ref, err := s.Put(ctx, iotest.OneByteReader(strings.NewReader("stream")))
		if err != nil {
			t.Fatal(err)
		}
		if got := get(t, s, ref.Digest); got != "stream" {
			t.Errorf("got %q", got)
		}
	})

	t.Run("put from the middle of a seeker", func(t *testing.T) {
		s := h.Open(t, t.TempDir())
		for range 2 { // new, then known
			r := bytes.NewReader([]byte("head-tail"))
			if _, err := r.Seek(5, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			ref, err := s.Put(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			if got := get(t, s, ref.Digest); got != "tail" {
				t.Errorf("got %q, want what follows the position", got)
			}
		}
	})

	t.Run("same content is stored once", func(t *testing.T) {
		s := h.Open(t, t.TempDir())
		if a, b := put(t, s, "same"), put(t, s, "same"); a != b {
			t.Errorf("%v and %v", a, b)
		}
		if n := len(list(t, s)); n != 1 {
			t.Errorf("%d blobs, want 1", n)
		}
	})

	t.Run("failed put stores nothing", func(t *testing.T) {
		place := t.TempDir()
		s := h.Open(t, place)
		broken := errors.New("broken pipe")
		_, err := s.Put(ctx, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Errorf("error %v, want the reader's", err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := s.Put(ended, strings.NewReader("whole")); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
		if all := list(t, s); len(all) != 0 {
			t.Errorf("stored: %v", all)
		}
	})

	t.Run("not found", func(t *testing.T) {
		s := h.Open(t, t.TempDir())
		for _, digest := range []string{strings.Repeat("0", 64), "", "../../etc/passwd", strings.Repeat("A", 64), strings.Repeat("/", 64)} {
			if _, _, err := s.Open(ctx, digest); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("Open(%q): %v, want ErrNotFound", digest, err)
			}
			if ok, err := s.Has(ctx, digest); ok || err != nil {
				t.Errorf("Has(%q): %v, %v", digest, ok, err)
			}
			if err := s.Delete(ctx, digest); err != nil {
				t.Errorf("Delete(%q): %v", digest, err)
			}
		}
	})

	t.Run("delete", func(t *testing.T) {
		s := h.Open(t, t.TempDir())
		ref, other := put(t, s, "goes"), put(t, s, "stays")
		r, _, err := s.Open(ctx, ref.Digest)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if err := s.Delete(ctx, ref.Digest); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); string(b) != "goes" || err != nil {
			t.Errorf("open reader got %q, %v", b, err)
		}
		if _, _, err := s.Open(ctx, ref.Digest); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Open: %v", err)
		}
		if got := get(t, s, other.Digest); got != "stays" {
			t.Errorf("got %q", got)
		}
		if put(t, s, "goes") != ref || get(t, s, ref.Digest) != "goes" {
			t.Error("cannot be put again")
		}
	})

	t.Run("concurrent", func(t *testing.T) {
		s := h.Open(t, t.TempDir())
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				content := fmt.Sprintf("content %d", i%4)
				ref, err := s.Put(ctx, strings.NewReader(content))
				if err != nil {
					t.Error(err)
					return
				}
				r, _, err := s.Open(ctx, ref.Digest)
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Close()
				if b, err := io.ReadAll(r); string(b) != content || err != nil {
					t.Errorf("got %q, %v", b, err)
				}
			})
		}
		wg.Wait()
		if n := len(list(t, s)); n != 4 {
			t.Errorf("%d blobs, want 4", n)
		}
	})

	t.Run("damage is found", func(t *testing.T) {
		if h.Damage == nil {
			t.Skip("this driver cannot be damaged from outside")
		}
		place := t.TempDir()
		s := h.Open(t, place)
		ref := put(t, s, strings.Repeat("precious", 10_000))
		h.Damage(t, place, ref.Digest)
		r, _, err := s.Open(ctx, ref.Digest)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("read to the end: %v, want ErrCorrupt", err)
		}
		if content := strings.Repeat("precious", 10_000); put(t, s, content) != ref || get(t, s, ref.Digest) != content {
			t.Error("putting it again does not repair it")
		}
	})
}

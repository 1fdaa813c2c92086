package disk_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/blob"
	"mayfly/blob/blobtest"
	"mayfly/blob/disk"
)

func open(t *testing.T, dir string) blob.Store {
	t.Helper()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	blobtest.Run(t, blobtest.Harness{
		Open: open,
		Damage: func(t *testing.T, place, digest string) {
			path := filepath.Join(place, digest[:2], digest[2:4], digest)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestPutReplacesTruncatedFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ref, err := s.Put(t.Context(), strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ref.Digest[:2], ref.Digest[2:4], ref.Digest)
	if err := os.Truncate(path, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); string(b) != "content" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestOpenSweepsLeftovers(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	left := filepath.Join(dir, "tmp", "put-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestNothingIsReadableByOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	s := open(t, dir)
	if _, err := s.Put(t.Context(), strings.NewReader("secret")); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !d.IsDir() {
			files++
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || files != 1 {
		t.Errorf("%d files, %v; want the blob alone", files, err)
	}
}

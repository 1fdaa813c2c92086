package main

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func entries(t *testing.T, pkg []byte) map[string]*zip.File {
	t.Helper()
	zr, err := zip.NewReader(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]*zip.File{}
	for _, f := range zr.File {
		m[f.Name] = f
	}
	return m
}

func TestPackFolder(t *testing.T) {
	dir := folder(t, map[string]string{
		"index.js": "1", "bin/tool*": "#!/bin/sh", "lib/a.js": "2", ".env": "A=1",
		".git/config": "x", "__pycache__/m.pyc": "x", "lib/old.pyc": "x", "node_modules/x/index.js": "3", "docs/big.pdf": "x",
	})
	if err := os.Chmod(filepath.Join(dir, "index.js"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"lib/link.js": "a.js", "up.js": "lib/../index.js"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "outside.txt")
	if err := os.WriteFile(outside, []byte("from outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "copy.txt")); err != nil {
		t.Fatal(err)
	}

	pkg, err := packFolder(dir, []string{"docs"})
	if err != nil {
		t.Fatal(err)
	}
	got := entries(t, pkg)
	modes := map[string]fs.FileMode{
		"index.js": 0o644, "bin/tool": 0o755, "lib/a.js": 0o644, ".env": 0o644, "node_modules/x/index.js": 0o644, "copy.txt": 0o644,
		"lib/link.js": fs.ModeSymlink | 0o777, "up.js": fs.ModeSymlink | 0o777,
	}
	for name, mode := range modes {
		f := got[name]
		if f == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if f.Mode() != mode {
			t.Errorf("%s: mode %v, want %v", name, f.Mode(), mode)
		}
	}
	if len(got) != len(modes) {
		t.Errorf("%d files, want %d: %v", len(got), len(modes), got)
	}
	r, err := got["copy.txt"].Open()
	if err != nil {
		t.Fatal(err)
	}
	if content, _ := io.ReadAll(r); string(content) != "from outside" {
		t.Errorf("copy.txt: got %q", content)
	}
}

func TestPackIsDeterministic(t *testing.T) {
	files := map[string]string{"b.js": "1", "a/z.js": "2", "a.js": "3", "run*": "4"}
	first, err := packFolder(folder(t, files), nil)
	if err != nil {
		t.Fatal(err)
	}
	again := folder(t, files)
	if err := os.Chtimes(filepath.Join(again, "b.js"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(again, "a.js"), 0o640); err != nil {
		t.Fatal(err)
	}
	second, err := packFolder(again, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the same files gave different packages")
	}
	zr, err := zip.NewReader(bytes.NewReader(first), int64(len(first)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range zr.File {
		names = append(names, f.Name)
	}
	if !slices.IsSorted(names) {
		t.Errorf("not sorted: %v", names)
	}
}

func TestPackRefuses(t *testing.T) {
	if _, err := packFolder(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("empty folder: got %v", err)
	}
	dir := folder(t, map[string]string{"index.js": "1"})
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "shared")); err != nil {
		t.Fatal(err)
	}
	if _, err := packFolder(dir, nil); err == nil || !strings.Contains(err.Error(), "outside of the function") {
		t.Errorf("folder outside: got %v", err)
	}
	if _, err := packFolder(dir, []string{"shared"}); err != nil {
		t.Errorf("folder outside, left out: got %v", err)
	}
}

func TestPackGo(t *testing.T) {
	dir := folder(t, map[string]string{"go.mod": "module fn\n\ngo 1.21\n", "main.go": "package main\n\nfunc main() {}\n"})
	pkg, err := packGo(t.Context(), dir, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	f := entries(t, pkg)["bootstrap"]
	if f == nil || f.Mode() != 0o755 {
		t.Fatalf("got %v", f)
	}
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 20)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(head, []byte("\x7fELF")) || head[18] != 0xb7 { // e_machine: AArch64
		t.Errorf("not an ELF program for arm64: % x", head)
	}
	again, err := packGo(t.Context(), dir, "arm64")
	if err != nil || !bytes.Equal(pkg, again) {
		t.Errorf("the second build differs (%v)", err)
	}
	broken := folder(t, map[string]string{"go.mod": "module fn\n", "main.go": "package main\n\nfunc main() { undefined() }\n"})
	if _, err := packGo(t.Context(), broken, "x86_64"); err == nil || !strings.Contains(err.Error(), "undefined") {
		t.Errorf("a program that does not compile: got %v", err)
	}
}

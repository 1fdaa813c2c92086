package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mayfly"
)

// leftOut are files and folders that belong to a work place and not to a function, by name.
var leftOut = []string{
	".git", ".hg", ".svn", ".DS_Store", ".idea", ".vscode", ".aws-sam", ".serverless",
	"__pycache__", "*.pyc", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".venv", "venv",
}

// packEntry is one file of a deployment package.
type packEntry struct {
	name string // with slashes, relative to the package
	path string
	exec bool
	link string // target of a symbolic link
}

// packFolder zips a folder. The same files give the same bytes: names are sorted, times are fixed, and of the modes
// only "executable" is kept, so that everything is readable to the function whatever the umask was.
func packFolder(dir string, exclude []string) ([]byte, error) {
	entries, err := collect(dir, append(slices.Clone(leftOut), exclude...))
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s is empty", dir)
	}
	return packEntries(entries)
}

func collect(dir string, exclude []string) ([]packEntry, error) {
	var entries []packEntry
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		e := packEntry{name: filepath.ToSlash(rel), path: p}
		if matchesAny(exclude, e.name) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		if d.Type()&fs.ModeSymlink != 0 {
			if e.link, err = linkInside(dir, p); err != nil {
				return err
			}
		}
		info, err := os.Stat(p)
		switch {
		case err != nil && e.link == "":
			return err
		case err == nil && e.link == "" && !info.Mode().IsRegular():
			return nil // sockets and the like are no code
		}
		e.exec = err == nil && info.Mode()&0o111 != 0
		entries = append(entries, e)
		return nil
	})
	slices.SortFunc(entries, func(a, b packEntry) int { return strings.Compare(a.name, b.name) })
	return entries, err
}

// matchesAny tells whether one of the patterns fits the whole name or its last part.
func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		whole, _ := path.Match(pattern, name) // a bad pattern was refused with the flags
		last, _ := path.Match(pattern, path.Base(name))
		return whole || last
	})
}

// linkInside returns what a symbolic link is to be packed as: its target when that lies in the folder, "" when the file
// that it points to is to be packed in its place.
func linkInside(dir, link string) (string, error) {
	target, err := os.Readlink(link)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(target) {
		inside, err := filepath.Rel(dir, filepath.Join(filepath.Dir(link), target))
		if err == nil && filepath.IsLocal(inside) {
			return filepath.ToSlash(target), nil
		}
	}
	info, err := os.Stat(link)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return "", fmt.Errorf("%s points to a folder outside of the function (%s): copy it there, or leave it out with --exclude", link, target)
	}
	return "", nil
}

func packEntries(entries []packEntry) ([]byte, error) {
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for _, e := range entries {
		if err := addEntry(zw, e); err != nil {
			return nil, fmt.Errorf("packing %s: %w", e.name, err)
		}
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	if limit := mayfly.DefaultLimits().ZipBytes; int64(buf.Len()) > limit {
		return nil, fmt.Errorf("the package has %s zipped, Lambda's limit is %s: leave out what the function does not need with --exclude (largest: %s)",
			size(int64(buf.Len())), size(limit), largest(entries))
	}
	return buf.Bytes(), nil
}

func addEntry(zw *zip.Writer, e packEntry) error {
	h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	if e.link != "" {
		h.SetMode(fs.ModeSymlink | 0o777)
		w, err := zw.CreateHeader(h)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, e.link)
		return err
	}
	h.SetMode(0o644)
	if e.exec {
		h.SetMode(0o755)
	}
	w, err := zw.CreateHeader(h)
	if err != nil {
		return err
	}
	f, err := os.Open(e.path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// largest names the three biggest files.
func largest(entries []packEntry) string {
	type sized struct {
		name string
		n    int64
	}
	var all []sized
	for _, e := range entries {
		if info, err := os.Stat(e.path); err == nil {
			all = append(all, sized{e.name, info.Size()})
		}
	}
	slices.SortFunc(all, func(a, b sized) int { return int(b.n - a.n) })
	var words []string
	for _, s := range all[:min(3, len(all))] {
		words = append(words, s.name+" "+size(s.n))
	}
	return strings.Join(words, ", ")
}

// packGo builds the Go program in dir for Lambda and zips it as "bootstrap".
func packGo(ctx context.Context, dir, arch string) ([]byte, error) {
	out, err := os.MkdirTemp("", "mayfly-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	goarch := map[string]string{"x86_64": "amd64", "arm64": "arm64"}[arch]
	binary := filepath.Join(out, "bootstrap")
	// lambda.norpc leaves out of aws-lambda-go what only the retired go1.x runtime needs.
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
	if said, err := cmd.CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("building a Go function needs the go command in PATH (https://go.dev/dl); or build it yourself as an executable named bootstrap")
	} else if err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, bytes.TrimSpace(said))
	}
	return packEntries([]packEntry{{name: "bootstrap", path: binary, exec: true}})
}

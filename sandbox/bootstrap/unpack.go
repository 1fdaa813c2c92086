package bootstrap

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed runtime
var files embed.FS

// unpack writes the embedded bootstraps to dataDir/bootstrap/<hash of their content> unless they are there, and returns
// that folder. Functions read them under other user ids, so they are readable by all.
func unpack(dataDir string) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, "runtime", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(path)
		if err == nil {
			fmt.Fprintf(sum, "%s %d\n%s", path, len(b), b)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	parent, err := filepath.Abs(filepath.Join(dataDir, "bootstrap"))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(parent, hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("unpacking the bootstraps: %w", err)
	}
	tmp, err := os.MkdirTemp(parent, "tmp-")
	if err != nil {
		return "", fmt.Errorf("unpacking the bootstraps: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	root, err := fs.Sub(files, "runtime")
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(tmp, root); err != nil {
		return "", fmt.Errorf("unpacking the bootstraps: %w", err)
	}
	err = filepath.WalkDir(tmp, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644) // whatever the umask is
		if d.IsDir() {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		return "", fmt.Errorf("unpacking the bootstraps: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, statErr := os.Stat(dir); statErr != nil { // not: another process was faster
			return "", fmt.Errorf("unpacking the bootstraps: %w", err)
		}
	}
	return dir, nil
}

// writeFile replaces the file at path in one step.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "tmp-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

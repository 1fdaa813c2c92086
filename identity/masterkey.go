package identity

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// LoadMasterKey reads the master key from a file, or makes one there that only its owner can read. The file must keep
// its bytes: with another key every session credential that is out becomes invalid.
func LoadMasterKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil {
		if len(key) < 32 {
			return nil, fmt.Errorf("master key %s has %d bytes instead of 32; restore it, or remove it to make a new one", path, len(key))
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	key = make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	if err := writeKey(path, key); err != nil {
		return nil, fmt.Errorf("write master key: %w", err)
	}
	return key, nil
}

// writeKey leaves either the whole key or no file, also when the machine stops in between.
func writeKey(path string, key []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".masterkey-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

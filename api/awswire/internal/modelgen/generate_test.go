package modelgen

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

const root = "../.."

func TestGeneratedPackagesAreUpToDate(t *testing.T) {
	for _, target := range Targets() {
		files, err := Generate(root, target)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range files {
			got, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Errorf("%v (run go generate ./api/awswire)", err)
			} else if !bytes.Equal(got, want) {
				t.Errorf("%s differs from what its model generates: run go generate ./api/awswire", name)
			}
		}
	}
}

// Command modelgen writes the packages that are generated from the service models. Run it with go generate in
// api/awswire.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"mayfly/api/awswire/internal/modelgen"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "modelgen:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	for _, t := range modelgen.Targets() {
		files, err := modelgen.Generate(root, t)
		if err != nil {
			return err
		}
		for name, text := range files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, text, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

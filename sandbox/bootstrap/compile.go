package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// compilePython compiles the modules of the folder it is given. They are checked against nothing when they are imported
// (UNCHECKED_HASH): their folder is named after their content.
const compilePython = `import os, py_compile, sys
for name in os.listdir(sys.argv[1]):
    if name.startswith("mayfly_"):
        py_compile.compile(os.path.join(sys.argv[1], name), dfile="/var/runtime/" + name, doraise=True,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
`

// Compile compiles the Python bootstrap for every Python present that has not done so yet, about 0.1 s each. Sandboxes
// show the bootstrap read-only, so that without it each cold start compiles anew. It is not part of Discover because
// nothing else waits for it: call it once in the background.
func (c *Catalog) Compile(ctx context.Context) error {
	var errs []error
	dir := filepath.Join(c.dir, "python")
	for _, rt := range c.List() {
		if rt.family != familyPython {
			continue
		}
		tag := "cpython-" + strings.Replace(strings.TrimPrefix(rt.Name, "python"), ".", "", 1)
		if _, err := os.Stat(filepath.Join(dir, "__pycache__", "mayfly_runtime."+tag+".pyc")); err == nil {
			continue
		}
		if out, err := command(ctx, rt.Path, "-I", "-S", "-c", compilePython, dir).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("compiling the bootstrap for %s: %w: %s", rt.Name, err, out))
		}
	}
	return errors.Join(errs...)
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder makes a folder with files; a name that ends in * is executable.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "fn")
	for name, content := range files {
		mode := os.FileMode(0o644)
		if n, ok := strings.CutSuffix(name, "*"); ok {
			name, mode = n, 0o755
		}
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestGuess(t *testing.T) {
	const js, py, goSrc = "exports.handler = async () => 1", "def lambda_handler(event, context):\n  pass\n", "package main\n\nfunc main() {}\n"
	for name, c := range map[string]struct {
		files            map[string]string
		runtime, handler string // asked for
		want             guess
		err              string
	}{
		"CommonJS":              {files: map[string]string{"index.js": js}, want: guess{Runtime: "nodejs20.x", Handler: "index.handler"}},
		"module":                {files: map[string]string{"app.mjs": "export const handler = 1"}, want: guess{Runtime: "nodejs20.x", Handler: "app.handler"}},
		"async function":        {files: map[string]string{"index.mjs": "export async function handler(e) {}"}, want: guess{Runtime: "nodejs20.x", Handler: "index.handler"}},
		"export list":           {files: map[string]string{"index.mjs": "const f = 1\nexport {f as handler}"}, want: guess{Runtime: "nodejs20.x", Handler: "index.handler"}},
		"module.exports":        {files: map[string]string{"index.js": "module.exports = { other, handler }"}, want: guess{Runtime: "nodejs20.x", Handler: "index.handler"}},
		"esbuild's output":      {files: map[string]string{"dist/index.js": "__export(x, {\n  handler: () => handler\n});"}, want: guess{Runtime: "nodejs20.x", Handler: "dist/index.handler"}},
		"SAM's template":        {files: map[string]string{"app.mjs": "export const lambdaHandler = 1"}, want: guess{Runtime: "nodejs20.x", Handler: "app.lambdaHandler"}},
		"main of package.json":  {files: map[string]string{"package.json": `{"main":"./lib/fn.js"}`, "lib/fn.js": js, "index.js": js}, want: guess{Runtime: "nodejs20.x", Handler: "lib/fn.handler"}},
		"exact engine":          {files: map[string]string{"package.json": `{"engines":{"node":"22.x"}}`, "index.js": js}, want: guess{Runtime: "nodejs22.x", Handler: "index.handler"}},
		"engine that is absent": {files: map[string]string{"package.json": `{"engines":{"node":"^18"}}`, "index.js": js}, want: guess{Runtime: "nodejs18.x", Handler: "index.handler"}},
		"lowest engine":         {files: map[string]string{"package.json": `{"engines":{"node":">=21"}}`, "index.js": js}, want: guess{Runtime: "nodejs22.x", Handler: "index.handler"}},
		".nvmrc":                {files: map[string]string{".nvmrc": "v22\n", "index.js": js}, want: guess{Runtime: "nodejs22.x", Handler: "index.handler"}},
		"uninstalled packages": {files: map[string]string{"package.json": `{"dependencies":{"express":"4"}}`, "index.js": js},
			want: guess{Runtime: "nodejs20.x", Handler: "index.handler", Warnings: []string{"npm ci"}}},
		"no known export":         {files: map[string]string{"index.js": "exports.go = 1"}, err: "--handler FILE.EXPORT"},
		"no known export, named":  {files: map[string]string{"index.js": "exports.go = 1"}, handler: "index.go", want: guess{Runtime: "nodejs20.x", Handler: "index.go"}},
		"TypeScript alone":        {files: map[string]string{"package.json": "{}", "index.ts": ""}, err: "build it first"},
		"bad package.json":        {files: map[string]string{"package.json": "{"}, err: "package.json"},
		"Python":                  {files: map[string]string{"lambda_function.py": py}, want: guess{Runtime: "python3.11", Handler: "lambda_function.lambda_handler"}},
		"Python's handler":        {files: map[string]string{"app.py": "handler = Mangum(app)\n"}, want: guess{Runtime: "python3.11", Handler: "app.handler"}},
		"Python, imported":        {files: map[string]string{"main.py": "from api import handler\n"}, want: guess{Runtime: "python3.11", Handler: "main.handler"}},
		".python-version":         {files: map[string]string{".python-version": "3.13.1\n", "app.py": py}, want: guess{Runtime: "python3.13", Handler: "app.lambda_handler"}},
		"compiled Python":         {files: map[string]string{"app.py": py, "np/core.cpython-312-x86_64-linux-gnu.so": ""}, want: guess{Runtime: "python3.12", Handler: "app.lambda_handler"}},
		"uninstalled Python":      {files: map[string]string{"app.py": py, "requirements.txt": "boto3\n"}, want: guess{Runtime: "python3.11", Handler: "app.lambda_handler", Warnings: []string{"pip install"}}},
		"installed Python":        {files: map[string]string{"app.py": py, "requirements.txt": "six\n", "six-1.dist-info/METADATA": ""}, want: guess{Runtime: "python3.11", Handler: "app.lambda_handler"}},
		"a test is no handler":    {files: map[string]string{"app.py": "x = 1\n"}, err: "--handler FILE.FUNCTION"},
		"Go":                      {files: map[string]string{"go.mod": "module x", "main.go": goSrc}, want: guess{Runtime: customRuntime, Handler: "bootstrap", BuildGo: true}},
		"Go without a module":     {files: map[string]string{"fn.go": goSrc}, want: guess{Runtime: customRuntime, Handler: "bootstrap", BuildGo: true}},
		"Go with an old build":    {files: map[string]string{"main.go": goSrc, "bootstrap*": "ELF"}, want: guess{Runtime: customRuntime, Handler: "bootstrap", BuildGo: true}},
		"Go, built by hand":       {files: map[string]string{"main.go": goSrc, "bootstrap*": "ELF"}, runtime: "provided.al2", want: guess{Runtime: "provided.al2", Handler: "bootstrap"}},
		"bootstrap":               {files: map[string]string{"bootstrap*": "#!/bin/sh"}, want: guess{Runtime: customRuntime, Handler: "bootstrap"}},
		"bootstrap without x":     {files: map[string]string{"bootstrap": "#!/bin/sh"}, err: "chmod +x"},
		"two languages":           {files: map[string]string{"index.js": js, "app.py": py}, err: "--runtime"},
		"two languages, chosen":   {files: map[string]string{"index.js": js, "app.py": py}, runtime: "python3.12", want: guess{Runtime: "python3.12", Handler: "app.lambda_handler"}},
		"nothing":                 {files: map[string]string{"README.md": ""}, err: "found no function"},
		"nothing, all said":       {files: map[string]string{"README.md": ""}, runtime: "nodejs22.x", handler: "x.y", want: guess{Runtime: "nodejs22.x", Handler: "x.y"}},
		"handler beside the rest": {files: map[string]string{"index.js": js}, handler: "index.other", want: guess{Runtime: "nodejs20.x", Handler: "index.other"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := guesser{
				available: []string{"nodejs20.x", "nodejs22.x", "python3.9", "python3.11", "python3.12", "provided.al2023"},
				local:     func(p string) string { return map[string]string{"node": "v20.20.2", "python3": "Python 3.11.7"}[p] },
				runtime:   c.runtime, handler: c.handler,
			}
			got, err := g.guess(folder(t, c.files))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %+v, %v; want an error that says %q", got, err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Runtime != c.want.Runtime || got.Handler != c.want.Handler || got.BuildGo != c.want.BuildGo {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if len(got.Warnings) != len(c.want.Warnings) || len(got.Warnings) > 0 && !strings.Contains(got.Warnings[0], c.want.Warnings[0]) {
				t.Errorf("warnings: got %q, want %q", got.Warnings, c.want.Warnings)
			}
		})
	}
}

func TestGuessWithoutAList(t *testing.T) {
	dir := folder(t, map[string]string{"index.js": "exports.handler = 1"})
	for local, want := range map[string]string{"v24.1.0": "nodejs24.x", "": "nodejs22.x"} {
		got, err := guesser{local: func(string) string { return local }}.guess(dir)
		if err != nil || got.Runtime != want {
			t.Errorf("node %q here: got %s, %v; want %s", local, got.Runtime, err, want)
		}
	}
}

func TestGuessNewest(t *testing.T) {
	g := guesser{available: []string{"python3.9", "python3.12", "python3.10", "nodejs20.x"}}
	if got := g.newest("python"); got != "python3.12" {
		t.Errorf("got %s", got)
	}
	if got := g.newest("ruby"); got != "" {
		t.Errorf("got %s", got)
	}
}

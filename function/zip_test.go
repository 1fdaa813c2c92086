package function

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly"
)

// entry is one entry of a zip as an attacker would write it.
type entry struct {
	name    string
	mode    fs.FileMode // 0: no Unix attributes
	content string
	method  uint16
	claim   uint64 // uncompressed size to claim; 0 is the truth
	flags   uint16
}

func file(name, content string) entry { return entry{name: name, mode: 0o644, content: content} }
func link(name, target string) entry {
	return entry{name: name, mode: fs.ModeSymlink | 0o777, content: target}
}

func makeZip(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: e.method, Flags: e.flags}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		var f io.Writer
		var err error
		if e.claim != 0 || e.flags != 0 {
			h.UncompressedSize64, h.CompressedSize64, h.CRC32 = e.claim, uint64(len(e.content)), 0xbad
			f, err = w.CreateRaw(h)
		} else {
			f, err = w.CreateHeader(h)
		}
		if err != nil {
			t.Fatal(err)
		}
		// A name that ends in a slash takes no content.
		if _, err := io.WriteString(f, e.content); err != nil && e.content != "" {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func unpackTo(data []byte, limits mayfly.Limits, dir string) error {
	p, err := readPackage(data, limits, "CreateFunction")
	if err != nil {
		return err
	}
	return p.unpack(dir)
}

func TestMaliciousPackages(t *testing.T) {
	good := file("index.js", "ok")
	long := strings.Repeat("n", 256)
	deep := strings.Repeat("d/", 2100) + "f"
	chain := []entry{good}
	for i := range 60 {
		chain = append(chain, link(fmt.Sprintf("l%d", i), fmt.Sprintf("l%d", i+1)))
	}
	var tangle []entry
	for i := range 2000 {
		tangle = append(tangle, link(fmt.Sprintf("t%d", i), strings.Repeat("./", 1000)+"x"))
	}
	tests := []struct {
		name    string
		entries []entry
	}{
		{"parent", []entry{good, file("../evil", "x")}},
		{"parent in the middle", []entry{good, file("a/../../evil", "x")}},
		{"parent that would stay inside", []entry{good, file("a/../b", "x")}},
		{"parent folder", []entry{good, file("../evil/", "")}},
		{"just the parent", []entry{good, file("..", "x")}},
		{"absolute", []entry{good, file("/etc/evil", "x")}},
		{"absolute twice", []entry{good, file("//etc/evil", "x")}},
		{"backslash", []entry{good, file(`..\evil`, "x")}},
		{"backslash absolute", []entry{good, file(`\evil`, "x")}},
		{"backslash inside", []entry{good, file(`a\b`, "x")}},
		{"drive letter", []entry{good, file("C:/evil", "x")}},
		{"drive letter, relative", []entry{good, file("c:evil", "x")}},
		{"zero byte", []entry{good, file("a\x00b", "x")}},
		{"empty name", []entry{good, {name: "", mode: 0o644}}},
		{"dot as a file", []entry{good, file(".", "x")}},
		{"long component", []entry{good, file(long, "x")}},
		{"long path", []entry{good, file(deep, "x")}},
		{"link out", []entry{good, link("l", "../evil")}},
		{"link to the parent", []entry{good, link("l", "..")}},
		{"link out, absolute", []entry{good, link("l", "/etc/passwd")}},
		{"link out through a sandbox folder", []entry{good, link("l", "/tmp/../etc/passwd")}},
		{"link to a name like a sandbox folder", []entry{good, link("l", "/tmpx/a")}},
		{"link out from below", []entry{good, link("a/b/l", "../../../evil")}},
		{"link out through a link", []entry{good, file("a/b/f", "x"), link("l", "a/b"), link("a/b/up", "../.."), link("m", "l/up/../evil")}},
		{"link out through a link in a folder", []entry{good, link("d/e", ".."), link("f", "d/e/..")}},
		{"link out after a sandbox folder", []entry{good, link("c", "/tmp/c"), link("l", "c/../../etc/passwd")}},
		{"file through a link", []entry{good, link("l", "sub"), file("l/evil", "x")}},
		{"file through a link that comes later", []entry{good, file("l/evil", "x"), link("l", "/tmp")}},
		{"folder through a link", []entry{good, link("l", "sub"), file("l/evil/", "")}},
		{"folder in place of a link", []entry{good, link("l", "sub"), file("l/", "")}},
		{"file below a file", []entry{file("a", "x"), file("a/b", "x")}},
		{"file in place of a folder", []entry{file("a/b", "x"), file("a", "x")}},
		{"link to nothing", []entry{good, link("l", "")}},
		{"link with a zero byte", []entry{good, link("l", "a\x00b")}},
		{"link with a long target", []entry{good, link("l", strings.Repeat("a", 5000))}},
		{"links in a circle", []entry{good, link("a", "b"), link("b", "a")}},
		{"link to itself", []entry{good, link("a", "a/b")}},
		{"links in a long chain", chain},
		{"links that take long to follow", tangle},
		{"character device", []entry{good, {name: "d", mode: fs.ModeDevice | fs.ModeCharDevice | 0o666}}},
		{"block device", []entry{good, {name: "d", mode: fs.ModeDevice | 0o666}}},
		{"named pipe", []entry{good, {name: "p", mode: fs.ModeNamedPipe | 0o666}}},
		{"socket", []entry{good, {name: "s", mode: fs.ModeSocket | 0o666}}},
		{"encrypted", []entry{good, {name: "e", mode: 0o644, content: "xxxx", claim: 4, flags: 1}}},
		{"unknown compression", []entry{good, {name: "e", mode: 0o644, content: "xxxx", claim: 4, method: 93}}},
		{"more content than claimed", []entry{good, {name: "e", mode: 0o644, content: deflated(t, strings.Repeat("x", 1000)), claim: 10, method: zip.Deflate}}},
		{"less content than claimed", []entry{good, {name: "e", mode: 0o644, content: deflated(t, "x"), claim: 10, method: zip.Deflate}}},
		{"wrong checksum", []entry{good, {name: "e", mode: 0o644, content: deflated(t, "xxxx"), claim: 4, method: zip.Deflate}}},
		{"broken deflate", []entry{good, {name: "e", mode: 0o644, content: "\xff\xff\xff\xff", claim: 4, method: zip.Deflate}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outer := t.TempDir()
			dir := filepath.Join(outer, "in")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			err := unpackTo(makeZip(t, tt.entries...), mayfly.DefaultLimits(), dir)
			if mayfly.KindOf(err) != mayfly.KindInvalid || !strings.HasPrefix(err.Error(), "Could not unzip uploaded file.") {
				t.Errorf("error %v, want Lambda's", err)
			}
			var e *mayfly.Error
			if errors.As(err, &e) && e.Code != "InvalidParameterValueException" {
				t.Errorf("code %q", e.Code)
			}
			if names, err := os.ReadDir(outer); err != nil || len(names) != 1 {
				t.Errorf("it wrote outside: %v, %v", names, err)
			}
		})
	}
}

func deflated(t testing.TB, content string) string {
	t.Helper()
	data := makeZip(t, entry{name: "f", content: content, method: zip.Deflate})
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.File[0].OpenRaw()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSizes(t *testing.T) {
	limits := mayfly.DefaultLimits()
	limits.ZipBytes, limits.UnzippedBytes = 10_000, 100_000
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	bomb := entry{name: "bomb", mode: 0o644, method: zip.Deflate, content: zeros(100_000)}
	liar := bomb
	liar.content, liar.claim = deflated(t, bomb.content), 99_999
	tests := []struct {
		name string
		zip  []byte
		kind mayfly.Kind
		text string // "" is success
	}{
		{"nothing", nil, mayfly.KindInvalid, "Uploaded file must be a non-empty zip"},
		{"no entries", makeZip(t), mayfly.KindInvalid, "Uploaded file must be a non-empty zip"},
		{"folders only", makeZip(t, file("a/", "")), mayfly.KindInvalid, "Uploaded file must be a non-empty zip"},
		{"not a zip", []byte("exports.handler = 1"), mayfly.KindInvalid, "Could not unzip uploaded file. Please check your file, then try to upload again."},
		{"half a zip", makeZip(t, file("index.js", strings.Repeat("abc", 99)))[:100], mayfly.KindInvalid, "Could not unzip uploaded file."},
		{"zip too large", makeZip(t, file("f", strings.Repeat("x", 10_000))), mayfly.KindTooLarge, "for the CreateFunction operation"},
		{"unzipped just fits", makeZip(t, entry{name: "f", mode: 0o644, method: zip.Deflate, content: zeros(99_999)}), 0, ""},
		{"unzipped does not fit", makeZip(t, bomb), mayfly.KindInvalid, "Unzipped size must be smaller than 100000 bytes"},
		{"many that do not fit together", makeZip(t,
			entry{name: "a", mode: 0o644, method: zip.Deflate, content: zeros(50_000)},
			entry{name: "b", mode: 0o644, method: zip.Deflate, content: zeros(50_000)}), mayfly.KindInvalid, "Unzipped size must be smaller than 100000 bytes"},
		{"one name often", makeZip(t,
			entry{name: "a", mode: 0o644, method: zip.Deflate, content: zeros(50_000)},
			entry{name: "a", mode: 0o644, method: zip.Deflate, content: zeros(50_000)}), mayfly.KindInvalid, "Unzipped size must be smaller than 100000 bytes"},
		{"claims less than it has", makeZip(t, liar), mayfly.KindInvalid, "Could not unzip uploaded file."},
		{"claims the most there is", hugeClaim(t), mayfly.KindInvalid, "Unzipped size must be smaller than 100000 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := unpackTo(tt.zip, limits, t.TempDir())
			if tt.text == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || mayfly.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want kind %d and %q", err, tt.kind, tt.text)
			}
		})
	}
	if got := errZipSize(50<<20, "CreateFunction").Error(); got != "Request must be smaller than 70167211 bytes for the CreateFunction operation" {
		t.Errorf("at the default limit: %q", got)
	}
}

func hugeClaim(t *testing.T) []byte {
	return makeZip(t, file("a", "x"), entry{name: "f", mode: 0o644, content: deflated(t, "x"), method: zip.Deflate, claim: 1<<64 - 1})
}

func TestTooManyEntries(t *testing.T) {
	// Each name implies a folder, so half the entries suffice.
	entries := make([]entry, maxEntries/2+1)
	for i := range entries {
		entries[i] = entry{name: fmt.Sprintf("%d/f", i)}
	}
	_, err := readPackage(makeZip(t, entries...), mayfly.DefaultLimits(), "")
	if err == nil || !strings.Contains(err.Error(), "files and folders") {
		t.Errorf("error %v", err)
	}
	// A directory that would not even be parsed.
	header := make([]byte, 46)
	binary.LittleEndian.PutUint32(header, 0x02014b50)
	_, err = readPackage(bytes.Repeat(header, 2*maxEntries+1), mayfly.DefaultLimits(), "")
	if err == nil || !strings.Contains(err.Error(), "too many entries") {
		t.Errorf("error %v", err)
	}
}

func TestUnpack(t *testing.T) {
	when := time.Date(2024, 5, 6, 7, 8, 10, 0, time.UTC)
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	add := func(name string, mode fs.FileMode, content string) {
		t.Helper()
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: when}
		if mode != 0 {
			h.SetMode(mode)
		}
		f, err := w.CreateHeader(h)
		if err == nil && content != "" {
			_, err = io.WriteString(f, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("./", fs.ModeDir|0o700, "")
	add("secret.txt", 0o600, "s")
	add("run.sh", 0o700, "#!")
	add("setuid", fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky|0o4755, "x")
	add("bootstrap", 0o644, "elf")
	add("windows.exe", 0, "mz")
	add("bare", 0o000|fs.ModeSetuid, "x")
	add("closed/", fs.ModeDir, "")
	add("closed/f", 0o400, "f")
	add("implied/by/name", 0o644, "n")
	add("./dotted//twice", 0o644, "d")
	add("Case", 0o644, "upper")
	add("case", 0o644, "lower")
	add("twice", 0o644, "first")
	add("twice", 0o755, "second")
	add("ümlaut-🪰", 0o644, "u")
	add("latin-\xe9", 0o644, "l")
	add("node_modules/.bin/tool", fs.ModeSymlink|0o777, "../tool/cli.js")
	add("node_modules/tool/cli.js", 0o755, "cli")
	add("dangling", fs.ModeSymlink|0o777, "not/there")
	add("cache", fs.ModeSymlink|0o777, "/tmp/cache")
	add("self", fs.ModeSymlink|0o777, ".")
	add("replaced", fs.ModeSymlink|0o777, "run.sh")
	add("replaced", 0o644, "a file now")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unpackTo(buf.Bytes(), mayfly.DefaultLimits(), dir); err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		mode    fs.FileMode
		content string // target of a link
	}{
		"secret.txt": {0o644, "s"}, "run.sh": {0o755, "#!"}, "setuid": {0o755, "x"}, "bootstrap": {0o755, "elf"},
		"windows.exe": {0o755, "mz"}, "bare": {0o644, "x"},
		"closed": {fs.ModeDir | 0o755, ""}, "closed/f": {0o644, "f"},
		"implied": {fs.ModeDir | 0o755, ""}, "implied/by": {fs.ModeDir | 0o755, ""}, "implied/by/name": {0o644, "n"},
		"dotted": {fs.ModeDir | 0o755, ""}, "dotted/twice": {0o644, "d"},
		"Case": {0o644, "upper"}, "case": {0o644, "lower"}, "twice": {0o755, "second"},
		"ümlaut-🪰": {0o644, "u"}, "latin-\xe9": {0o644, "l"},
		"node_modules": {fs.ModeDir | 0o755, ""}, "node_modules/.bin": {fs.ModeDir | 0o755, ""},
		"node_modules/.bin/tool": {fs.ModeSymlink, "../tool/cli.js"},
		"node_modules/tool":      {fs.ModeDir | 0o755, ""}, "node_modules/tool/cli.js": {0o755, "cli"},
		"dangling": {fs.ModeSymlink, "not/there"}, "cache": {fs.ModeSymlink, "/tmp/cache"}, "self": {fs.ModeSymlink, "."},
		"replaced": {0o644, "a file now"},
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if err != nil || name == "." {
			return err
		}
		expected, ok := want[name]
		if !ok {
			t.Errorf("%q should not be there", name)
			return nil
		}
		delete(want, name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode, content := info.Mode(), []byte(nil)
		switch mode.Type() {
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			mode, content = fs.ModeSymlink, []byte(target)
		case 0:
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
			if !info.ModTime().Equal(when) {
				t.Errorf("%q has the time %v", name, info.ModTime())
			}
		}
		if mode != expected.mode || string(content) != expected.content {
			t.Errorf("%q: %v %q, want %v %q", name, mode, content, expected.mode, expected.content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		t.Errorf("%q is missing", name)
	}
}

// FuzzUnpack: whatever the bytes are, nothing is written or linked outside, nothing special is made, and the limits hold.
func FuzzUnpack(f *testing.F) {
	f.Add(makeZip(f, file("index.js", "ok")))
	f.Add(makeZip(f, file("a/b/c", "ok"), link("l", "a/b"), link("a/up", "..")))
	f.Add(makeZip(f, file("../evil", "x")))
	f.Add(makeZip(f, link("d/e", ".."), link("f", "d/e/..")))
	f.Add(makeZip(f, link("l", "/tmp/x"), file("l", "x"), entry{name: "w", content: "x"}))
	f.Add(makeZip(f, entry{name: "z", mode: 0o644, method: zip.Deflate, content: strings.Repeat("z", 70_000)}))
	f.Add([]byte("PK\x05\x06"))
	limits := mayfly.DefaultLimits()
	limits.UnzippedBytes = 64 << 10
	f.Fuzz(func(t *testing.T, data []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		err := unpackTo(data, limits, dir)
		if err != nil && mayfly.KindOf(err) != mayfly.KindInvalid && mayfly.KindOf(err) != mayfly.KindTooLarge {
			t.Fatalf("a bad package is reported as our own failure: %v", err)
		}
		if names, err := os.ReadDir(outer); err != nil || len(names) != 1 {
			t.Fatalf("it wrote outside: %v, %v", names, err)
		}
		checkTree(t, dir, limits.UnzippedBytes)
	})
}

// FuzzEntries is FuzzUnpack with well-formed zips, so that it gets at what the names and links say together. Each line is an
// entry: "f NAME" a file, "l NAME TARGET" a link, "d NAME" a folder.
func FuzzEntries(f *testing.F) {
	f.Add("f index.js\nf a/b/c\nl l a/b\nl a/up ..\nl x l/up/b")
	f.Add("l d/e ..\nl f d/e/..")
	f.Add("l a b/..\nl b c/d\nd c/d\nf c/d/e")
	f.Add("l c /tmp/c\nl l c/x\nl m c/../y")
	f.Add("l a b\nl b a\nf ./a/c\nd a//")
	f.Add("f ../x\nf /x\nf a\\b\nf C:x")
	f.Fuzz(func(t *testing.T, lines string) {
		var buf bytes.Buffer
		w := zip.NewWriter(&buf)
		for i, line := range strings.Split(lines, "\n") {
			kind, rest, _ := strings.Cut(line, " ")
			name, target, _ := strings.Cut(rest, " ")
			h := &zip.FileHeader{Name: name}
			content := "x"
			switch {
			case i > 100 || len(name) > 1<<15:
				return
			case kind == "f":
				h.SetMode(0o644)
			case kind == "d":
				h.SetMode(fs.ModeDir | 0o755)
				content = ""
			case kind == "l":
				h.SetMode(fs.ModeSymlink | 0o777)
				content = target
			default:
				continue
			}
			e, err := w.CreateHeader(h)
			if err == nil && !strings.HasSuffix(name, "/") {
				_, err = io.WriteString(e, content)
			}
			if err != nil {
				t.Skip(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		err := unpackTo(buf.Bytes(), mayfly.DefaultLimits(), dir)
		if err != nil && mayfly.KindOf(err) != mayfly.KindInvalid {
			t.Fatalf("a bad package is reported as our own failure: %v", err)
		}
		if names, err := os.ReadDir(outer); err != nil || len(names) != 1 {
			t.Fatalf("it wrote outside: %v, %v", names, err)
		}
		checkTree(t, dir, mayfly.DefaultLimits().UnzippedBytes)
	})
}

func checkTree(t *testing.T, dir string, limit int64) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var total int64
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch info.Mode().Type() {
		case 0:
			total += info.Size()
		case fs.ModeDir:
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(dir, path)
			// The root refuses to follow what leads out. Absolute links it always refuses; those were judged by name.
			if _, err := root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(target) &&
				strings.Contains(err.Error(), "escapes") && !throughAbsolute(dir, path) {
				t.Errorf("the link %q to %q leads out", name, target)
			}
		default:
			t.Errorf("%q is %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if total >= limit {
		t.Errorf("%d bytes were written, the limit is %d", total, limit)
	}
}

// throughAbsolute tells whether a relative link leads to an absolute one.
func throughAbsolute(dir, path string) bool {
	found := false
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && p != path && d.Type() == fs.ModeSymlink {
			target, _ := os.Readlink(p)
			found = found || filepath.IsAbs(target)
		}
		return nil
	})
	return found
}

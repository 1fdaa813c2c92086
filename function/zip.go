package function

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"mayfly"
)

const (
	maxEntries   = 200_000 // files, folders and links of a package, those that only names imply included
	maxLinkSteps = 1_000_000
	maxName      = 4096 // bytes of a path; Linux's PATH_MAX
	maxComponent = 255
)

// pkg is a deployment package that was read: what to make, in which order. Nothing in the zip is trusted until it is in
// here: names are relative and clean, no entry lies below a link or a file, and links stay inside. Sizes are not trusted
// even then.
type pkg struct {
	nodes map[string]*node
	dirs  []string // parents first
	files []string
	links []string
	limit int64 // bytes of all files, unpacked
}

type node struct {
	kind   fs.FileMode // 0, fs.ModeDir or fs.ModeSymlink
	mode   fs.FileMode // permissions
	file   *zip.File
	target string // of a link
}

// readPackage checks all of a zip that can be checked without inflating it.
func readPackage(data []byte, limits mayfly.Limits, operation string) (*pkg, error) {
	switch {
	case len(data) == 0:
		return nil, errEmptyZip()
	case int64(len(data)) > limits.ZipBytes:
		return nil, errZipSize(limits.ZipBytes, operation)
	case bytes.Count(data, []byte("PK\x01\x02")) > 2*maxEntries:
		// Parsed, a directory of millions of entries would take gigabytes. (Twice, as stored files can be zips themselves.)
		return nil, errBadZip("it has too many entries")
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && r == nil {
		return nil, errBadZip("")
	}
	p := &pkg{nodes: make(map[string]*node, len(r.File)), limit: limits.UnzippedBytes}
	var declared int64
	for _, f := range r.File {
		if f.UncompressedSize64 >= uint64(p.limit-declared) {
			return nil, errUnzippedSize(p.limit)
		}
		declared += int64(f.UncompressedSize64)
		if err := p.add(f); err != nil {
			return nil, err
		}
	}
	p.order(r.File)
	if len(p.files)+len(p.links) == 0 {
		return nil, errEmptyZip()
	}
	steps := 0
	for _, name := range p.links {
		if err := p.checkLink(name, &steps); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add puts one entry of the zip into nodes. Of two files with one name the later counts, as with unzip -o.
func (p *pkg) add(f *zip.File) error {
	name, isDir, err := cleanName(f.Name)
	if err != nil {
		return err
	}
	mode := f.Mode()
	isDir = isDir || mode.IsDir()
	if f.Flags&1 != 0 {
		return errBadZip(fmt.Sprintf("%q is encrypted", f.Name))
	}
	if name == "" {
		if !isDir {
			return errBadZip(fmt.Sprintf("%q is not a file name", f.Name))
		}
		return nil
	}
	if err := p.addDirs(path.Dir(name)); err != nil {
		return err
	}
	if isDir {
		return p.addDirs(name)
	}
	if n := p.nodes[name]; n != nil && n.kind == fs.ModeDir {
		return errBadZip(fmt.Sprintf("%q is a file and a folder", f.Name))
	}
	n := &node{file: f, mode: filePerm(f, name)}
	switch mode.Type() {
	case 0:
		if f.Method != zip.Store && f.Method != zip.Deflate {
			return errBadZip(fmt.Sprintf("%q is compressed with method %d; use deflate", f.Name, f.Method))
		}
	case fs.ModeSymlink:
		n.kind = fs.ModeSymlink
		if n.target, err = linkTarget(f); err != nil {
			return err
		}
	default:
		return errBadZip(fmt.Sprintf("%q is neither a file, a folder nor a symbolic link", f.Name))
	}
	return p.put(name, n)
}

func (p *pkg) put(name string, n *node) error {
	if p.nodes[name] == nil && len(p.nodes) >= maxEntries {
		return errBadZip(fmt.Sprintf("it has more than %d files and folders", maxEntries))
	}
	p.nodes[name] = n
	return nil
}

// addDirs makes name and all folders above it.
func (p *pkg) addDirs(name string) error {
	if name == "." {
		return nil
	}
	if n := p.nodes[name]; n != nil {
		if n.kind != fs.ModeDir {
			return errBadZip(fmt.Sprintf("%q is a folder and something else", name))
		}
		return nil
	}
	if err := p.addDirs(path.Dir(name)); err != nil {
		return err
	}
	if err := p.put(name, &node{kind: fs.ModeDir, mode: 0o755}); err != nil {
		return err
	}
	p.dirs = append(p.dirs, name)
	return nil
}

// order lists files and links as they come in the zip, less those that a later one of the same name replaced.
func (p *pkg) order(entries []*zip.File) {
	for _, f := range entries {
		name, _, _ := cleanName(f.Name) // was clean before
		n := p.nodes[name]
		switch {
		case n == nil || n.file != f:
		case n.kind == fs.ModeSymlink:
			p.links = append(p.links, name)
		default:
			p.files = append(p.files, name)
		}
	}
}

// cleanName gives the relative path of an entry, "" for the top folder itself.
func cleanName(raw string) (name string, isDir bool, err error) {
	bad := func(why string) (string, bool, error) {
		return "", false, errBadZip(fmt.Sprintf("the name %.200q %s", raw, why))
	}
	switch {
	case len(raw) > maxName:
		return bad("is too long")
	case strings.HasPrefix(raw, "/"):
		return bad("is absolute")
	case strings.ContainsRune(raw, 0):
		return bad("contains a zero byte")
	case strings.Contains(raw, `\`):
		return bad("contains a backslash; make the zip with forward slashes")
	case len(raw) >= 2 && raw[1] == ':' && (raw[0]|0x20) >= 'a' && (raw[0]|0x20) <= 'z':
		return bad("starts with a drive letter")
	}
	parts := make([]string, 0, 8)
	for part := range strings.SplitSeq(raw, "/") {
		switch {
		case part == "" || part == ".":
		case part == "..":
			return bad("leaves the package")
		case len(part) > maxComponent:
			return bad("is too long")
		default:
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/"), strings.HasSuffix(raw, "/"), nil
}

// filePerm keeps the executable bits of the zip and makes every file readable; no other bit survives. A zip made without
// Unix attributes (on Windows, or by a library) cannot say what is executable, so there everything is. bootstrap always
// is: it has no other use.
func filePerm(f *zip.File, name string) fs.FileMode {
	const creatorUnix, creatorMacOS = 3, 19
	creator := f.CreatorVersion >> 8
	unix := (creator == creatorUnix || creator == creatorMacOS) && f.ExternalAttrs>>16 != 0
	if !unix || f.Mode()&0o111 != 0 || name == "bootstrap" {
		return 0o755
	}
	return 0o644
}

func linkTarget(f *zip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", errBadZip("")
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxName+1))
	if err != nil {
		return "", errBadZip("")
	}
	if len(b) == 0 || len(b) > maxName || bytes.IndexByte(b, 0) >= 0 {
		return "", errBadZip(fmt.Sprintf("the symbolic link %q has no valid target", f.Name))
	}
	return string(b), nil
}

// sandboxDirs are the folders that a link may name absolutely: they exist, with this meaning, in every sandbox, and
// packages do link to them (a cache in /tmp, a library in a layer).
var sandboxDirs = []string{"/tmp", "/opt", "/mnt", "/var/task"}

// checkLink follows a link as the kernel would and refuses one that leaves the package. The lexical target is not
// enough: a link can go through other links.
func (p *pkg) checkLink(name string, steps *int) error {
	escapes := errBadZip(fmt.Sprintf("the symbolic link %q leaves the package", name))
	n := p.nodes[name]
	if path.IsAbs(n.target) {
		target := path.Clean(n.target)
		for _, dir := range sandboxDirs {
			if target == dir || strings.HasPrefix(target, dir+"/") {
				return nil
			}
		}
		return escapes
	}
	at := path.Dir(name) // no link is above: add saw to that
	rest := strings.Split(n.target, "/")
	for hops := 0; len(rest) > 0; {
		if *steps++; *steps > maxLinkSteps {
			return errBadZip("its symbolic links are too tangled")
		}
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "." {
				return escapes
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		link := p.nodes[next]
		switch {
		case link == nil || link.kind != fs.ModeSymlink:
			at = next
		case path.IsAbs(link.target):
			// Checked on its own; from there the way leads through the sandbox's folders.
			for _, part := range rest {
				if part == ".." {
					return escapes
				}
			}
			return nil
		default:
			if hops++; hops > 40 {
				return errBadZip(fmt.Sprintf("the symbolic link %q leads in a circle", name))
			}
			rest = append(strings.Split(link.target, "/"), rest...)
		}
	}
	return nil
}

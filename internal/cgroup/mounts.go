package cgroup

import (
	"strconv"
	"strings"
)

// mount is one mounted cgroup hierarchy.
type mount struct {
	point       string   // where it is mounted
	root        string   // which group of the hierarchy is seen there, "/" for the whole of it
	v2          bool     // cgroup2
	controllers []string // v1: those bound to it
	readOnly    bool
}

// parseMounts reads the cgroup mounts out of the text of a /proc/…/mountinfo (proc_pid_mountinfo(5)).
func parseMounts(mountinfo string) []mount {
	var ms []mount
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		if !ok {
			continue
		}
		f, a := strings.Fields(before), strings.Fields(after)
		if len(f) < 6 || len(a) < 3 || (a[0] != "cgroup" && a[0] != "cgroup2") {
			continue
		}
		m := mount{point: unescape(f[4]), root: unescape(f[3]), v2: a[0] == "cgroup2"}
		for _, o := range strings.Split(f[5]+","+a[2], ",") {
			switch {
			case o == "ro":
				m.readOnly = true
			case !m.v2 && isController(o):
				m.controllers = append(m.controllers, o)
			}
		}
		if m.v2 || len(m.controllers) > 0 { // a named v1 hierarchy (name=systemd) has none
			ms = append(ms, m)
		}
	}
	return ms
}

func isController(s string) bool {
	for _, c := range controllers {
		if c == s {
			return true
		}
	}
	return false
}

// unescape undoes the kernel's octal escapes (\040 for a space) in mount paths.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parseSelf reads /proc/…/cgroup: the group of a process in each hierarchy, by controller, and under "" for v2.
func parseSelf(text string) map[string]string {
	groups := make(map[string]string)
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, c := range strings.Split(parts[1], ",") {
			groups[c] = parts[2]
		}
	}
	return groups
}

// within returns where the group path of a hierarchy is found under the mount, and whether it can be seen there at all.
// With a cgroup namespace or a bind mount the two trees differ.
func (m mount) within(path string) (string, bool) {
	if path == "" || strings.Contains(path, "/../") || strings.HasSuffix(path, "/..") {
		return "", false
	}
	if m.root == "/" {
		return m.point + strings.TrimSuffix("/"+strings.Trim(path, "/"), "/"), true
	}
	rest, ok := strings.CutPrefix(path, m.root)
	if !ok || (rest != "" && !strings.HasPrefix(rest, "/")) {
		return "", false
	}
	return m.point + strings.TrimSuffix(rest, "/"), true
}

package cgroup

import (
	"fmt"
	"testing"
)

const (
	separate = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	combined = `33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 /docker/ab\040cd /sys/fs/cgroup/memory ro,nosuid shared:9 master:3 - cgroup cgroup rw,memory
`
	unified = `31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
`
)

func TestParseMounts(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", "[]"},
		{"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n", "[]"},
		{"nonsense\n1 2 3 - cgroup\n - cgroup2 x rw\n", "[]"},
		{separate, "[{/sys/fs/cgroup/cpu / false [cpu] false} {/sys/fs/cgroup/memory / false [memory] false} {/sys/fs/cgroup/unified / true [] false}]"},
		{combined, "[{/sys/fs/cgroup/cpu,cpuacct / false [cpu cpuacct] false} {/sys/fs/cgroup/memory /docker/ab cd false [memory] true}]"},
		{unified, "[{/sys/fs/cgroup / true [] false}]"},
	} {
		if got := fmt.Sprint(parseMounts(tc.text)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.text, got, tc.want)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, tc := range []struct {
		root, path, want string
		ok               bool
	}{
		{"/", "/", "/m", true},
		{"/", "/a/b", "/m/a/b", true},
		{"/docker/x", "/docker/x", "/m", true},
		{"/docker/x", "/docker/x/y", "/m/y", true},
		{"/docker/x", "/docker/xy", "", false},
		{"/docker/x", "/", "", false},
		{"/", "/../..", "", false},
		{"/", "/../a", "", false},
		{"/", "", "", false},
	} {
		if got, ok := (mount{point: "/m", root: tc.root}).within(tc.path); got != tc.want || ok != tc.ok {
			t.Errorf("%s within a mount of %s: %q, %v, want %q, %v", tc.path, tc.root, got, ok, tc.want, tc.ok)
		}
	}
}

func TestParseSelf(t *testing.T) {
	got := parseSelf("9:name=systemd:/\n4:memory:/a:b\n3:cpu,cpuacct:/c\n0::/user.slice\nnonsense\n")
	if s := fmt.Sprint(got); s != "map[:/user.slice cpu:/c cpuacct:/c memory:/a:b name=systemd:/]" {
		t.Error(s)
	}
}

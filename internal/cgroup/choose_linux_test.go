package cgroup

import (
	"strings"
	"testing"

	"mayfly"
)

const elsewhere = "50 23 0:30 / /mnt/memory rw - cgroup cgroup rw,memory\n51 23 0:30 / /mnt/v2 rw - cgroup2 cgroup2 rw\n"

func TestChoose(t *testing.T) {
	for _, tc := range []struct {
		name, text, root string
		memory, v2       string
	}{
		{"separate", separate, "", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"},
		{"combined", combined, "", "/sys/fs/cgroup/memory", ""},
		{"unified", unified, "", "", "/sys/fs/cgroup"},
		{"the usual place wins", elsewhere + separate, "", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"},
		{"the usual place wins in any order", separate + elsewhere, "", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"},
		{"a writable one wins", combined + elsewhere, "", "/mnt/memory", "/mnt/v2"},
		{"a root was given", separate + elsewhere, "/mnt", "/mnt/memory", "/mnt/v2"},
		{"with nothing below", separate, "/mnt", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v1, v2 := choose(parseMounts(tc.text), tc.root)
			if got := v1["memory"].point; got != tc.memory {
				t.Errorf("memory at %q, want %q", got, tc.memory)
			}
			got := ""
			if v2 != nil {
				got = v2.point
			}
			if got != tc.v2 {
				t.Errorf("v2 at %q, want %q", got, tc.v2)
			}
		})
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	for _, tc := range []struct{ name, text, root, says string }{
		{"nothing mounted", "", "", "no control group hierarchy is mounted; mount one"},
		{"nothing there", unified, "/elsewhere", "no control group hierarchy is mounted below /elsewhere;"},
		{"v1 without pids", separate, "", "without the controllers cpuacct, pids, freezer; mount them"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := open(Options{Root: tc.root, Parent: "mf"}, environment{fs: newFake(""), mountinfo: tc.text})
			if err == nil || !strings.Contains(err.Error(), tc.says) || mayfly.KindOf(err) != mayfly.KindUnavailable {
				t.Errorf("err = %v, want one that says %q", err, tc.says)
			}
		})
	}
	for _, parent := range []string{"", "a/b", "..", ".x"} {
		if _, err := Open(Options{Parent: parent}); err == nil {
			t.Errorf("parent %q was taken", parent)
		}
	}
}

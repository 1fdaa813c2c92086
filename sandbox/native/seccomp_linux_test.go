package native

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// verdict runs the filter as the kernel does. The virtual machine reads big-endian, so the input is laid out that way.
func verdict(t *testing.T, code []bpf.Instruction, id uint32, nr uint32, args ...uint64) uint32 {
	t.Helper()
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[callOffset:], nr)
	binary.BigEndian.PutUint32(data[archOffset:], id)
	for i, a := range args {
		low := argOffset(i)
		binary.BigEndian.PutUint32(data[low:], uint32(a))
		binary.BigEndian.PutUint32(data[low^4:], uint32(a>>32))
	}
	n, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func TestFilter(t *testing.T) {
	const (
		eperm  = deny | uint32(unix.EPERM)
		enosys = deny | uint32(unix.ENOSYS)
		family = deny | uint32(unix.EAFNOSUPPORT)
	)
	for _, info := range []*arch.Info{arch.X86_64, arch.AARCH64} {
		code := filterCode(info)
		for _, c := range []struct {
			call string
			args []uint64
			want uint32
		}{
			{"read", nil, allow}, {"write", nil, allow}, {"execve", nil, allow}, {"futex", nil, allow}, {"mmap", nil, allow},
			{"mount", nil, eperm}, {"setns", nil, eperm}, {"unshare", nil, eperm}, {"ptrace", nil, eperm}, {"bpf", nil, eperm},
			{"keyctl", nil, eperm}, {"open_by_handle_at", nil, eperm}, {"process_vm_readv", nil, eperm}, {"userfaultfd", nil, eperm},
			{"clone3", nil, enosys}, {"io_uring_setup", nil, enosys},
			{"clone", []uint64{unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SETTLS}, allow},
			{"clone", []uint64{unix.CLONE_NEWUSER}, eperm}, {"clone", []uint64{unix.CLONE_NEWNS | unix.CLONE_VM}, eperm},
			{"clone", []uint64{unix.CLONE_NEWNET | 1<<40}, eperm}, {"clone", []uint64{unix.CLONE_NEWCGROUP}, eperm},
			{"socket", []uint64{unix.AF_UNIX, 1}, allow}, {"socket", []uint64{unix.AF_INET, 1}, allow}, {"socket", []uint64{unix.AF_INET6, 2}, allow},
			{"socket", []uint64{unix.AF_PACKET, 3}, family}, {"socket", []uint64{unix.AF_VSOCK, 1}, family}, {"socket", []uint64{unix.AF_ALG, 1}, family},
			{"socket", []uint64{unix.AF_NETLINK, 3, unix.NETLINK_ROUTE}, allow}, {"socket", []uint64{unix.AF_NETLINK, 3, unix.NETLINK_NETFILTER}, family},
			{"socket", []uint64{unix.AF_PACKET | 1<<32, 3}, family},
			{"ioctl", []uint64{0, unix.TCGETS}, allow}, {"ioctl", []uint64{0, unix.TIOCSTI}, eperm},
			{"ioctl", []uint64{0, unix.TIOCSTI | 1<<32}, eperm}, {"ioctl", []uint64{0, unix.TIOCLINUX}, eperm},
			{"personality", []uint64{0xffffffff}, allow}, {"personality", []uint64{0x0040000}, eperm},
		} {
			nr, ok := info.SyscallNames[c.call]
			if !ok {
				t.Fatalf("%s has no %s", info.Name, c.call)
			}
			if got := verdict(t, code, uint32(info.ID), uint32(nr), c.args...); got != c.want {
				t.Errorf("%s %s%x: %#x, want %#x", info.Name, c.call, c.args, got, c.want)
			}
		}
		// Every number gets the answer of its name, and what has no name is unknown.
		for nr := range uint32(700) {
			name := info.SyscallNumbers[int(nr)]
			want := enosys
			switch {
			case inList(allowedCalls, name):
				want = allow
			case inList(refusedCalls, name):
				want = eperm
			case name == "clone" || name == "socket" || name == "ioctl" || name == "personality":
				continue
			}
			if got := verdict(t, code, uint32(info.ID), nr); got != want {
				t.Errorf("%s call %d (%s): %#x, want %#x", info.Name, nr, name, got, want)
			}
		}
		read := uint32(info.SyscallNames["read"])
		if got := verdict(t, code, uint32(arch.I386.ID), read); got != enosys {
			t.Errorf("a 32-bit call: %#x", got)
		}
		if got := verdict(t, code, uint32(info.ID), read|0x40000000); got != enosys {
			t.Errorf("an x32 call: %#x", got)
		}
	}
}

// TestFilterNames finds misspelt names, which would quietly be left out.
func TestFilterNames(t *testing.T) {
	seen := map[string]bool{}
	for _, list := range []string{allowedCalls, refusedCalls, absentCalls} {
		for _, name := range strings.Fields(list) {
			_, amd := arch.X86_64.SyscallNames[name]
			_, arm := arch.AARCH64.SyscallNames[name]
			if !amd && !arm {
				t.Errorf("no architecture has %q", name)
			}
			if seen[name] {
				t.Errorf("%q is listed twice", name)
			}
			seen[name] = true
		}
	}
}

func inList(list, name string) bool {
	for _, n := range strings.Fields(list) {
		if n == name {
			return true
		}
	}
	return false
}

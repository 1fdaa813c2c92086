package native

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The function's identity inside, as on Lambda.
const (
	functionUID  = 993
	functionGID  = 990
	functionUser = "sbx_user1051"
	hostName     = "mayfly"
)

// After buildRoot the spawner's whole mount namespace is these folders.
const (
	templateDir = "/root"    // what every sandbox sees as its root, read-only
	scratchDir  = "/scratch" // an empty place for an init to mount its /tmp and /dev/shm before they are moved
)

// mountPoints are the empty folders of the root filesystem that a Binding may mount on.
var mountPoints = []string{"/var/task", "/var/runtime", "/var/lang", "/opt"}

// masked is what a sandbox does not see of /proc: what container engines hide, of which the kernel guards the worst by
// itself. A folder ends up empty, a file as the null device.
var masked = []string{
	"acpi", "asound", "bus", "fs", "irq", "scsi", "firmware", "driver",
	"interrupts", "kallsyms", "kcore", "keys", "key-users", "latency_stats", "sched_debug", "sysrq-trigger", "timer_list",
}

// buildRoot makes, in the spawner's own mount namespace, the root filesystem that all sandboxes share: a small tmpfs
// with the host's /usr and a synthetic /etc and /dev, read-only. The host's own tree is unmounted, so that the mount
// namespace of a sandbox is a copy of a handful of mounts and holds nothing to escape to. It returns the entries of
// /proc to mask.
func buildRoot(stage string) ([]string, error) {
	b := &builder{}
	b.try("make / private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	b.try("mount the stage", unix.Mount("tmpfs", stage, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"))
	b.root = stage
	b.dir("/proc", 0o555)
	b.dir(templateDir, 0o755)
	b.dir(scratchDir, 0o755)
	// The kernel lets a user namespace mount /proc only where one is fully visible already.
	b.try("mount /proc (a container must be privileged for this)",
		unix.Mount("proc", stage+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
	b.root = stage + templateDir
	b.try("mount the root", unix.Mount("tmpfs", b.root, "tmpfs", unix.MS_NOSUID, "mode=0755,size=16m"))
	for _, d := range append([]string{"/dev", "/dev/shm", "/etc", "/etc/ssl", "/home", "/home/" + functionUser, "/mnt", "/opt", "/proc",
		"/run", "/sys", "/var", "/var/log"}, mountPoints...) {
		b.dir(d, 0o755)
	}
	b.dir("/tmp", 0o1777)
	b.link("/tmp", "/var/tmp")
	b.host()
	b.devices()
	b.etc()
	b.try("make the root read-only", unix.Mount("", b.root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID, ""))
	var present []string
	for _, name := range masked {
		if st, err := os.Stat(stage + "/proc/" + name); err == nil {
			if st.IsDir() {
				name += "/"
			}
			present = append(present, name)
		}
	}
	b.try("chdir", unix.Chdir(stage))
	b.try("pivot_root", unix.PivotRoot(".", "."))
	b.try("detach the host's tree", unix.Unmount(".", unix.MNT_DETACH))
	b.try("chdir", unix.Chdir("/"))
	return present, b.err
}

// builder makes entries below root; it stops at the first error.
type builder struct {
	root string
	err  error
}

func (b *builder) try(what string, err error) {
	if b.err == nil && err != nil {
		b.err = fmt.Errorf("root filesystem of sandboxes: %s: %w", what, err)
	}
}

func (b *builder) dir(path string, mode uint32) {
	if b.err != nil {
		return
	}
	err := unix.Mkdir(b.root+path, mode)
	if errors.Is(err, unix.EEXIST) {
		err = nil
	}
	b.try("mkdir "+path, err)
}

func (b *builder) link(to, path string) {
	if b.err == nil {
		b.try("symlink "+path, os.Symlink(to, b.root+path))
	}
}

func (b *builder) file(path, text string) {
	if b.err == nil {
		b.try("write "+path, os.WriteFile(b.root+path, []byte(text), 0o644))
	}
}

// bind shows a file or folder of the host at the same path, read-only.
func (b *builder) bind(path string) {
	if b.err != nil {
		return
	}
	fd, err := cloneTree(path)
	if err != nil {
		b.try("bind "+path, err)
		return
	}
	defer unix.Close(fd)
	b.try("bind "+path, unix.MoveMount(fd, "", unix.AT_FDCWD, b.root+path, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// cloneTree returns a detached, read-only copy of the mount of a path, with everything mounted below.
func cloneTree(path string) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("open_tree %s: %w", path, err)
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{
		Attr_set:    unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV,
		Propagation: unix.MS_PRIVATE,
	})
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("mount_setattr %s: %w", path, err)
	}
	return fd, nil
}

// host shows the host's programs and libraries: /usr, and /bin, /lib… as links or folders, whichever the host has.
func (b *builder) host() {
	for _, path := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		st, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			b.try(path, err)
		case st.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			b.try(path, err)
			b.link(to, path)
		case st.IsDir():
			b.dir(path, 0o755)
			b.bind(path)
		}
	}
}

func (b *builder) devices() {
	for _, d := range []struct {
		name         string
		major, minor uint32
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}} {
		path := "/dev/" + d.name
		err := unix.Mknod(b.root+path, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor)))
		if errors.Is(err, unix.EPERM) { // no CAP_MKNOD: show the host's own
			b.file(path, "")
			err = unix.Mount(path, b.root+path, "", unix.MS_BIND, "")
		}
		b.try("mknod "+path, err)
	}
	b.link("/proc/self/fd", "/dev/fd")
	for i, name := range []string{"stdin", "stdout", "stderr"} {
		b.link(fmt.Sprintf("/proc/self/fd/%d", i), "/dev/"+name)
	}
}

// etc writes the few files that libraries look for. Of the host's own /etc only what is public and the same for
// everyone is shown: certificates, the loader's cache, the names of services and of alternatives.
func (b *builder) etc() {
	b.file("/etc/passwd", fmt.Sprintf("root:x:0:0:root:/root:/sbin/nologin\n%s:x:%d:%d::/home/%[1]s:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
		functionUser, functionUID, functionGID))
	b.file("/etc/group", fmt.Sprintf("root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n", functionUser, functionGID))
	b.file("/etc/hosts", "127.0.0.1 localhost "+hostName+"\n::1 localhost ip6-localhost\n")
	b.file("/etc/hostname", hostName+"\n")
	b.file("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n")
	b.file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n")
	for _, path := range []string{"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/services", "/etc/protocols", "/etc/mime.types",
		"/etc/os-release", "/etc/debian_version", "/etc/ssl/openssl.cnf", "/etc/ssl/cert.pem", "/etc/inputrc"} {
		b.copy(path)
	}
	b.zone()
	for _, path := range []string{"/etc/ssl/certs", "/etc/pki/tls", "/etc/pki/ca-trust", "/etc/crypto-policies", "/etc/ca-certificates",
		"/etc/alternatives", "/etc/ld.so.conf.d", "/etc/fonts"} {
		if st, err := os.Stat(path); err == nil && st.IsDir() {
			b.dirs(path)
			b.bind(path)
		}
	}
}

func (b *builder) dirs(path string) {
	if b.err == nil {
		b.try("mkdir "+path, os.MkdirAll(b.root+path, 0o755))
	}
}

// copy copies a small regular file or a symbolic link into /usr, if the host has it.
func (b *builder) copy(path string) {
	if to, err := os.Readlink(path); err == nil {
		if strings.Contains(to, "usr/") {
			b.link(to, path)
			return
		}
	}
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() || st.Mode().Perm()&0o004 == 0 || st.Size() > 4<<20 {
		return
	}
	text, err := os.ReadFile(path)
	if err == nil {
		b.dirs(filepath.Dir(path))
		b.file(path, string(text))
	}
}

// zone is UTC, as on Lambda; a function sets TZ for another one.
func (b *builder) zone() {
	if _, err := os.Stat("/usr/share/zoneinfo/UTC"); err == nil {
		b.link("/usr/share/zoneinfo/UTC", "/etc/localtime")
	}
}

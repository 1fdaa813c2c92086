package native

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"path/filepath"

	"mayfly"
)

// Options configure a Driver.
type Options struct {
	// DataDir is the server's data directory. It names this server's control groups, so that a restart finds what an
	// earlier process of the same directory left behind. Required.
	DataDir string

	// RunDir holds what does not outlive a process. Default: DataDir/run/native.
	RunDir string

	// Log gets the driver's messages. Default: slog.Default().
	Log *slog.Logger

	// CgroupRoot is where control groups are mounted. Default: as found in the mount table.
	CgroupRoot string

	// UIDBase is the first host user id of sandboxes; each one gets UIDsPerSandbox of them while it lives. Default: one
	// of fifteen slots above 2147483648, far above the ids that users and container engines have, locked machine-wide.
	UIDBase uint32

	// NoSeccomp leaves out the system call filter, for finding out whether it is in the way of a program.
	NoSeccomp bool

	// Resolvers are the DNS servers that functions with egress ask through the driver ("10.0.0.2:53"). Default: those of
	// the host's /etc/resolv.conf.
	Resolvers []string

	// EgressPool is where the addresses of sandboxes with egress come from, and EgressDeny lists networks that they must
	// not reach beside the private ones. See package egress for the default.
	EgressPool netip.Prefix
	EgressDeny []netip.Prefix
}

// UIDsPerSandbox is the size of a sandbox's user id range. A function is one id of it and has no means to become another.
const UIDsPerSandbox = 4096

func (o Options) withDefaults() (Options, error) {
	if o.DataDir == "" {
		return o, mayfly.Errorf(mayfly.KindInvalid, "native sandbox: DataDir is not set")
	}
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return o, mayfly.Errorf(mayfly.KindInvalid, "native sandbox: data directory %q: %w", o.DataDir, err)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // so that a restart by another path finds the same control groups
	}
	o.DataDir = dir
	if o.RunDir == "" {
		o.RunDir = filepath.Join(dir, "run", "native")
	}
	if o.RunDir, err = filepath.Abs(o.RunDir); err != nil {
		return o, mayfly.Errorf(mayfly.KindInvalid, "native sandbox: run directory %q: %w", o.RunDir, err)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o, nil
}

// group names the parent control group of the sandboxes of a data directory.
func (o Options) group() string {
	sum := sha256.Sum256([]byte(o.DataDir))
	return "mayfly-" + hex.EncodeToString(sum[:6])
}

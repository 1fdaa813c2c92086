// Package sandbox defines what confines a function instance: the Driver contract. Its drivers live in folders below and
// pass the suite in sandboxtest.
//
// A sandbox is born knowing nothing of any function (Create), is bound to one function version (Bind), and then runs
// that version's process (Start). The first step is the expensive one and can be done ahead of need; a bound sandbox is
// never bound again. States only go forward: created → bound → started → destroyed; a call out of order fails with
// ErrState.
package sandbox

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"mayfly"
)

// ErrState reports a call that the sandbox's state does not allow.
var ErrState = errors.New("sandbox: not allowed in this state")

// A Driver makes sandboxes of one kind. It is safe for concurrent use.
type Driver interface {
	// Name is the driver's name in settings and records: "native", "process", …
	Name() string

	// Create makes an empty sandbox: namespaces, a control group, a root filesystem and nothing that runs user code.
	// The id is unique among the sandboxes of this data directory, 1 to 40 characters of [a-z0-9-].
	Create(ctx context.Context, id string) (Sandbox, error)

	// Sweep removes what an earlier process of this data directory left behind: processes, control groups, mounts,
	// namespaces, links. It is called once, before the first Create, and reports how many sandboxes it removed.
	Sweep(ctx context.Context) (int, error)

	// Close releases what the driver itself holds. All sandboxes have been destroyed before.
	Close() error
}

// A Sandbox confines one instance. It is safe for concurrent use; Destroy may be called at any time.
type Sandbox interface {
	ID() string

	// Listen opens a TCP listener inside the sandbox's own network, on its loopback address. It is reachable from
	// inside only and closes with Destroy at the latest. Allowed from Create on.
	Listen(port int) (net.Listener, error)

	// ListenPacket is Listen for UDP (the resolver on port 53).
	ListenPacket(port int) (net.PacketConn, error)

	// Bind gives the sandbox the files, limits and network policy of one function version.
	Bind(ctx context.Context, b Binding) error

	// Start runs the process. Its streams are handed to the process as they are; the caller keeps its own copies.
	Start(ctx context.Context, p Process) error

	// SetCPU changes the processor limit, in thousandths of a core; 0 is no limit.
	SetCPU(millicores int) error

	// Done is closed once the started process has ended; Exit then tells how.
	Done() <-chan struct{}
	Exit() mayfly.Exit

	// Usage reads the control group's counters.
	Usage() (Usage, error)

	// PeakMemory is Usage's PeakMemoryBytes alone, for after every invocation: it costs microseconds. 0 is unknown.
	PeakMemory() (int64, error)

	// Destroy kills every process of the sandbox and returns once they, the control group, the mounts, the namespaces,
	// the links and the listeners are gone. It can be called again and then returns the first call's error.
	Destroy(ctx context.Context) error
}

// A Prestarter is a Sandbox whose process can run before the sandbox is bound: an interpreter that has booted and waits
// for its orders, knowing nothing of any function. Not every driver has them.
type Prestarter interface {
	Sandbox

	// Prestart shows the mounts and runs the process in a created sandbox. Bind comes next, adds the function's own
	// mounts under the running process, and makes the sandbox a started one. Until then there are no limits but Lambda's
	// own on processes and open files; the latter stays, whatever Binding.Limits says. What runs here must be trusted
	// until Bind has returned.
	Prestart(ctx context.Context, mounts []Mount, p Process) error
}

// A Connecter is a Sandbox that can be connected to the network ahead of need. Not every driver has them.
type Connecter interface {
	Sandbox

	// Connect applies the policy to a created sandbox. Bind must then come with the same one, which costs it nothing more.
	Connect(ctx context.Context, e Egress) error
}

// A Freezer is a Sandbox whose processes can be stopped where they are, and go on later as if no time had passed but for
// the clocks. Not every driver has them. Destroy works on a frozen one.
type Freezer interface {
	Sandbox

	// Freeze returns once every process has stopped. When ctx ends first they run on.
	Freeze(ctx context.Context) error

	// Thaw lets them go on. It does not wait, and is allowed when nothing is frozen.
	Thaw() error
}

// Binding is what makes a sandbox the sandbox of one function version.
type Binding struct {
	Mounts []Mount
	Limits Limits
	Egress Egress
}

// Mount shows a folder or file of the host inside the sandbox, read-only, with nosuid and nodev.
type Mount struct {
	Source string // on the host; symbolic links are resolved by the caller
	Target string // inside: /var/task, /var/runtime, /var/lang or /opt
}

// Limits bound one sandbox. Zero means no limit, except that a driver may have a floor of its own for Processes.
type Limits struct {
	MemoryBytes int64
	Millicores  int // thousandths of a core
	Processes   int // processes and threads
	OpenFiles   int // per process
	TmpBytes    int64
}

// Process is what Start runs.
type Process struct {
	Args   []string // Args[0] is an absolute path inside the sandbox
	Env    []string // the whole environment
	Dir    string   // working directory inside
	Stdin  *os.File // nil is the null device
	Stdout *os.File
	Stderr *os.File
}

// Usage are counters since Create.
type Usage struct {
	MemoryBytes     int64 // now
	PeakMemoryBytes int64
	CPU             time.Duration
	Processes       int
}

// EgressMode says what a sandbox can reach beyond itself.
type EgressMode string

// The egress modes.
const (
	EgressNone     EgressMode = "none"     // nothing but the listeners inside
	EgressInternet EgressMode = "internet" // public addresses
	EgressList     EgressMode = "list"     // the listed networks and nothing else
)

// Egress is the policy for outbound traffic. Private, link-local, multicast and the host's own addresses are denied in
// every mode unless a listed network contains them.
type Egress struct {
	Mode  EgressMode
	Allow []netip.Prefix
}

// Equal tells whether two policies are the same.
func (e Egress) Equal(o Egress) bool { return e.Mode == o.Mode && slices.Equal(e.Allow, o.Allow) }

// ParseEgress reads a setting: "none", "internet", or a comma-separated list of CIDRs and addresses, in which
// "internet" may stand too ("internet,10.1.0.0/16": public addresses and that network).
func ParseEgress(s string) (Egress, error) {
	var e Egress
	internet := false
	for _, part := range strings.Split(s, ",") {
		switch part = strings.TrimSpace(part); part {
		case "none":
			if s := strings.TrimSpace(s); s != "none" {
				return Egress{}, mayfly.Errorf(mayfly.KindInvalid, "egress %q: \"none\" stands alone", s)
			}
			return Egress{Mode: EgressNone}, nil
		case "internet":
			internet = true
		default:
			p, err := netip.ParsePrefix(part)
			if err != nil {
				a, aerr := netip.ParseAddr(part)
				if aerr != nil {
					return Egress{}, mayfly.Errorf(mayfly.KindInvalid,
						"egress %q: %q is neither none, internet, a CIDR (10.0.0.0/8) nor an address", s, part)
				}
				p = netip.PrefixFrom(a, a.BitLen())
			}
			if !p.Addr().Is4() {
				return Egress{}, mayfly.Errorf(mayfly.KindInvalid, "egress %q: %q is IPv6, and sandboxes have IPv4 only", s, part)
			}
			e.Allow = append(e.Allow, p.Masked())
		}
	}
	e.Mode = EgressList
	if internet {
		e.Mode = EgressInternet
	}
	return e, nil
}

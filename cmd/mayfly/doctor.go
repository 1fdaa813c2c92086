package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// finding is one thing that doctor looked at.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // "ok", "warn" (something will not work) or "fail" (the server will not work)
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// The states of a finding.
const (
	statusOK   = "ok"
	statusWarn = "warn"
	statusFail = "fail"
)

func newDoctorCommand() *cobra.Command {
	var r remote
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine: isolation, limits, runtimes, the server",
		Long: `Check whether this machine can run a server, list the runtimes that functions have here, and see whether a server
answers. Works without one. The exit status is 1 when something is missing that a server cannot do without.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.connect(cmd.Context())
			if err != nil {
				return err
			}
			var rep report
			_ = step(cmd.ErrOrStderr(), "Looking at this machine", func() error {
				rep = examine(cmd.Context(), c, data)
				return nil
			})
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), rep)
			} else {
				err = rep.print(cmd)
			}
			if err == nil && rep.failed() {
				return exitError(1)
			}
			return err
		},
	}
	r.addFlags(cmd)
	addDataFlag(cmd, &data)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// report is all that doctor found out.
type report struct {
	Findings []finding   `json:"findings"`
	Runtimes runtimeRows `json:"runtimes"`
}

func (r report) failed() bool {
	for _, f := range r.Findings {
		if f.Status == statusFail {
			return true
		}
	}
	return false
}

func (r report) print(cmd *cobra.Command) error {
	rows := make([][]string, len(r.Findings))
	for i, f := range r.Findings {
		rows[i] = []string{f.Status, f.Check, f.Detail}
	}
	out := cmd.OutOrStdout()
	if err := table(out, []string{"STATUS", "CHECK", "FOUND"}, rows); err != nil {
		return err
	}
	for _, f := range r.Findings {
		if f.Fix != "" {
			fmt.Fprintf(out, "\n%s: %s\n", f.Check, f.Fix)
		}
	}
	if len(r.Runtimes) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	return table(out, []string{"RUNTIME", "VERSION", "PATH", "SOURCE"}, r.Runtimes.table())
}

// examine looks at everything. Runtimes are the running server's, or those that a server started here would have.
func examine(ctx context.Context, c *connection, data string) report {
	var rep report
	rep.Findings = append(rep.Findings, finding{Check: "machine", Status: statusOK,
		Detail: fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())})
	rep.Findings = append(rep.Findings, isolationFindings(ctx)...)
	rep.Findings = append(rep.Findings, openFiles(), dataDirectory(data), clientTools())

	server, up := serverFinding(ctx, c)
	rep.Findings = append(rep.Findings, server)
	if up {
		if rows, err := availableRuntimes(ctx, c); err == nil {
			rep.Runtimes = rows
		}
	}
	if rep.Runtimes == nil {
		rows, err := localRuntimes(ctx, data)
		if err != nil {
			rep.Findings = append(rep.Findings, finding{Check: "runtimes", Status: statusFail, Detail: err.Error()})
		}
		rep.Runtimes = rows
	}
	languages := map[string]bool{}
	for _, name := range rep.Runtimes.names() {
		languages[runtimeFamily(name)] = true
	}
	for family, words := range map[string]string{"nodejs": "Node.js", "python": "Python"} {
		if !languages[family] {
			rep.Findings = append(rep.Findings, finding{Check: words, Status: statusWarn, Detail: "no interpreter found",
				Fix: "install one in PATH, or name a folder that has one: mayfly runtime add " + map[string]string{"nodejs": "nodejs22.x", "python": "python3.12"}[family] + " DIR"})
		}
	}
	return rep
}

// openFiles: an instance holds about a dozen descriptors of the server's.
func openFiles() finding {
	const enough = 16 << 10 // a thousand instances
	f := finding{Check: "open files", Status: statusOK}
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return finding{Check: f.Check, Status: statusWarn, Detail: err.Error()}
	}
	f.Detail = fmt.Sprintf("%d", lim.Max)
	if lim.Max < enough {
		f.Status = statusWarn
		f.Fix = fmt.Sprintf("a thousand instances need about %d: raise it with `ulimit -Hn` or LimitNOFILE= in the service's unit", enough)
	}
	return f
}

// dataDirectory checks that the directory, or the nearest one above it that is there, can be written, and its space.
func dataDirectory(data string) finding {
	f := finding{Check: "data directory", Status: statusOK}
	dir, err := filepath.Abs(data)
	if err != nil {
		return finding{Check: f.Check, Status: statusFail, Detail: err.Error()}
	}
	there := dir
	for {
		if _, err := os.Stat(there); err == nil || there == filepath.Dir(there) {
			break
		}
		there = filepath.Dir(there)
	}
	probe, err := os.CreateTemp(there, ".mayfly-doctor-*")
	if err != nil {
		return finding{Check: f.Check, Status: statusFail, Detail: err.Error(), Fix: "name one that can be written with --data"}
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	f.Detail = dir
	if there != dir {
		f.Detail += " (will be made)"
	}
	var st syscall.Statfs_t
	if syscall.Statfs(there, &st) == nil {
		free := uint64(st.Bavail) * uint64(st.Bsize)
		f.Detail += fmt.Sprintf(", %d GB free", free>>30)
		if free < 1<<30 {
			f.Status, f.Fix = statusWarn, "less than 1 GB is free: make room, or name another place with --data"
		}
	}
	return f
}

// clientTools lists what deploys functions; none of it is needed.
func clientTools() finding {
	var have, not []string
	for _, p := range []string{"aws", "go", "node", "npm", "python3"} {
		if _, err := exec.LookPath(p); err == nil {
			have = append(have, p)
		} else {
			not = append(not, p)
		}
	}
	f := finding{Check: "tools in PATH", Status: statusOK, Detail: listOr(have, "none")}
	if len(not) > 0 {
		f.Detail += " (not: " + strings.Join(not, ", ") + ")"
	}
	return f
}

// serverFinding asks the server how it is; it is no fault when there is none.
func serverFinding(ctx context.Context, c *connection) (f finding, up bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var health struct{ Status, Version, Isolation string }
	if err := c.getJSON(ctx, "/_mayfly/health", nil, &health); err != nil {
		return finding{Check: "server", Status: statusOK, Detail: explain(err)}, false
	}
	f = finding{Check: "server", Status: statusOK, Detail: fmt.Sprintf("%s at %s, version %s", health.Status, c.endpoint, health.Version)}
	if health.Isolation != "" {
		f.Detail += ", isolation " + health.Isolation
	}
	if health.Status != "ok" {
		f.Status = statusWarn
	}
	return f, true
}

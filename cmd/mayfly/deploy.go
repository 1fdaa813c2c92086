package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"
)

// deployFlags are what the user asked for; what is left out is guessed, or kept when the function is there already.
type deployFlags struct {
	name, runtime, handler, role, arch string
	memory                             int32
	timeout                            string
	env, tags, exclude                 []string
	url, noURL, json                   bool
}

func newDeployCommand() *cobra.Command {
	var r remote
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "deploy DIR",
		Short: "Deploy a folder of code as a function and print its URL",
		Long: `Deploy a folder of code as a function, or update the function of that name, wait until it is active, give it a URL
and print that.

What the folder holds is found out: a Go program (which is built), an executable named bootstrap, a Node.js or a Python
function. Flags say otherwise. On an update, what no flag names stays as it is; --env and --tag add to what is there.`,
		Example: `  mayfly deploy examples/process-order-node
  mayfly deploy . --name orders --memory 512 --timeout 30s --env STAGE=dev`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.connect(cmd.Context())
			if err != nil {
				return err
			}
			return deploy(cmd, c, args[0], f)
		},
	}
	cmd.ValidArgsFunction = firstOnly(func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	})
	r.addFlags(cmd)
	addJSONFlag(cmd, &f.json)
	fl := cmd.Flags()
	fl.StringVar(&f.name, "name", "", "name of the function (default: the folder's)")
	fl.StringVar(&f.runtime, "runtime", "", "Lambda runtime, such as nodejs22.x, python3.12 or provided.al2023")
	fl.StringVar(&f.handler, "handler", "", "handler, such as index.handler")
	fl.StringVar(&f.role, "role", "", "ARN of the execution role (default: a role mayfly-function, made when missing)")
	fl.StringVar(&f.arch, "arch", "", "x86_64 or arm64 (default: this machine's)")
	fl.Int32Var(&f.memory, "memory", 0, "memory in MB, 128 to 10240 (default 128)")
	fl.StringVar(&f.timeout, "timeout", "", "longest run, such as 30s; a bare number is seconds (default 3s)")
	fl.StringArrayVar(&f.env, "env", nil, "environment variable K=V; can be repeated")
	fl.StringArrayVar(&f.tags, "tag", nil, "tag K=V; can be repeated")
	fl.StringArrayVar(&f.exclude, "exclude", nil, "pattern of files to leave out; can be repeated")
	fl.BoolVar(&f.url, "url", true, "give the function a URL that anybody who reaches the server can call")
	fl.BoolVar(&f.noURL, "no-url", false, "do not give it a URL")
	return cmd
}

// deployment is what `mayfly deploy` reports.
type deployment struct {
	Name       string `json:"name"`
	ARN        string `json:"arn"`
	Runtime    string `json:"runtime"`
	Handler    string `json:"handler"`
	MemoryMB   int32  `json:"memoryMB"`
	TimeoutS   int32  `json:"timeoutSeconds"`
	CodeSHA256 string `json:"codeSha256"`
	CodeBytes  int64  `json:"codeBytes"`
	Change     string `json:"change"` // "created", "updated" or "unchanged"
	URL        string `json:"url,omitempty"`
}

func deploy(cmd *cobra.Command, c *connection, dir string, f deployFlags) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	want, err := f.settle(dir)
	if err != nil {
		return err
	}
	available, err := availableRuntimes(ctx, c)
	if err != nil {
		return err
	}
	g, err := guesser{available: available.names(), local: localVersion, runtime: f.runtime, handler: f.handler}.guess(want.dir)
	if err != nil {
		return err
	}
	for _, w := range g.Warnings {
		fmt.Fprintln(stderr, "warning: "+w)
	}
	if to := available.mapped(g.Runtime); to != "" {
		fmt.Fprintf(stderr, "warning: this server runs %s on %s (a setting of the server)\n", g.Runtime, to)
	}
	var code []byte
	what := "Packing " + want.dir
	if g.BuildGo {
		what = "Building " + want.dir
	}
	if err := step(stderr, what, func() error {
		if g.BuildGo {
			code, err = packGo(ctx, want.dir, want.arch)
		} else {
			code, err = packFolder(want.dir, f.exclude)
		}
		return err
	}); err != nil {
		return err
	}

	want.guess, want.code = g, code
	d := &deployer{c: c, api: c.lambda(), stderr: stderr, want: want}
	out, err := d.run(ctx)
	if err != nil {
		return err
	}
	if f.url && !f.noURL {
		if out.URL, err = d.ensureURL(ctx); err != nil {
			return err
		}
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), out)
	}
	fmt.Fprintf(stderr, "%s %s: %s, %s, %d MB, %ds, %s of code\n", out.Change, out.Name, out.Runtime, out.Handler, out.MemoryMB, out.TimeoutS, size(out.CodeBytes))
	line := out.URL
	if line == "" {
		line = out.ARN
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), line)
	return err
}

// wanted is a deployment's settled wishes; nil and empty mean "as it is, or Lambda's default".
type wanted struct {
	dir, name, role, arch string
	flags                 deployFlags
	memory, timeout       *int32
	env, tags             map[string]string
	guess                 guess
	code                  []byte
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// settle checks the flags.
func (f deployFlags) settle(dir string) (wanted, error) {
	w := wanted{flags: f, role: f.role, name: f.name}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return w, err
	}
	if info, err := os.Stat(abs); err != nil {
		return w, err
	} else if !info.IsDir() {
		return w, fmt.Errorf("%s is not a folder: deploy the folder that holds the function", dir)
	}
	w.dir = abs
	if w.name == "" {
		w.name = strings.Trim(notInNames.ReplaceAllString(filepath.Base(abs), "-"), "-")
		w.name = w.name[:min(64, len(w.name))]
	}
	switch f.arch {
	case "":
		w.arch = map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	case "x86_64", "arm64":
		w.arch = f.arch
	default:
		return w, fmt.Errorf("--arch %q is not one of x86_64 and arm64", f.arch)
	}
	if f.memory != 0 {
		w.memory = aws.Int32(f.memory)
	}
	if w.timeout, err = parseSeconds(f.timeout); err != nil {
		return w, err
	}
	if w.env, err = parsePairs("--env", f.env); err != nil {
		return w, err
	}
	if w.tags, err = parsePairs("--tag", f.tags); err != nil {
		return w, err
	}
	for _, p := range f.exclude {
		if _, err := path.Match(p, ""); err != nil {
			return w, fmt.Errorf("--exclude %q: %w", p, err)
		}
	}
	return w, nil
}

// parseSeconds reads a duration, or a bare number of seconds; nil for none.
func parseSeconds(s string) (*int32, error) {
	if s == "" {
		return nil, nil
	}
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return aws.Int32(int32(n)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d%time.Second != 0 {
		return nil, fmt.Errorf("--timeout %q is not a number of whole seconds (30, 30s, 5m)", s)
	}
	return aws.Int32(int32(d / time.Second)), nil
}

func parsePairs(flag string, pairs []string) (map[string]string, error) {
	m := map[string]string{}
	for _, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("%s %q has to be written as NAME=VALUE", flag, p)
		}
		m[k] = v
	}
	return m, nil
}

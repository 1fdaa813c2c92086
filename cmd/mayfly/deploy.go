package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
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

// deployer brings the server to what is wanted.
type deployer struct {
	c      *connection
	api    *lambda.Client
	stderr io.Writer
	want   wanted
}

func (d *deployer) run(ctx context.Context) (*deployment, error) {
	have, err := d.api.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &d.want.name})
	var missing *types.ResourceNotFoundException
	change := "unchanged"
	switch {
	case errors.As(err, &missing):
		change = "created"
		err = d.create(ctx)
	case err == nil:
		var changed bool
		if changed, err = d.update(ctx, have); changed {
			change = "updated"
		}
	}
	if err != nil {
		return nil, err
	}
	cfg, err := d.api.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &d.want.name})
	if err != nil {
		return nil, err
	}
	return &deployment{
		Name: aws.ToString(cfg.FunctionName), ARN: aws.ToString(cfg.FunctionArn), Runtime: string(cfg.Runtime), Handler: aws.ToString(cfg.Handler),
		MemoryMB: aws.ToInt32(cfg.MemorySize), TimeoutS: aws.ToInt32(cfg.Timeout),
		CodeSHA256: aws.ToString(cfg.CodeSha256), CodeBytes: cfg.CodeSize, Change: change,
	}, nil
}

func (d *deployer) create(ctx context.Context) error {
	w := d.want
	role := w.role
	if role == "" {
		var err error
		if role, err = d.ensureRole(ctx); err != nil {
			return fmt.Errorf("making the execution role (--role names one that is there): %w", err)
		}
	}
	in := &lambda.CreateFunctionInput{
		FunctionName: &w.name, Runtime: types.Runtime(w.guess.Runtime), Handler: &w.guess.Handler, Role: &role,
		Code: &types.FunctionCode{ZipFile: w.code}, MemorySize: w.memory, Timeout: w.timeout, Tags: w.tags,
	}
	if w.arch != "" {
		in.Architectures = []types.Architecture{types.Architecture(w.arch)}
	}
	if len(w.env) > 0 {
		in.Environment = &types.Environment{Variables: w.env}
	}
	if err := step(d.stderr, "Creating "+w.name, func() error {
		_, err := d.api.CreateFunction(ctx, in)
		return err
	}); err != nil {
		return err
	}
	return d.wait(ctx, "active", func(ctx context.Context) error {
		return lambda.NewFunctionActiveV2Waiter(d.api, func(o *lambda.FunctionActiveV2WaiterOptions) { o.MinDelay, o.MaxDelay = pollEvery, time.Second }).
			Wait(ctx, &lambda.GetFunctionInput{FunctionName: &w.name}, waitLimit)
	})
}

const (
	pollEvery = 50 * time.Millisecond
	waitLimit = 5 * time.Minute
)

// update changes what differs and tells whether anything did.
func (d *deployer) update(ctx context.Context, have *lambda.GetFunctionConfigurationOutput) (bool, error) {
	changed := false
	sum := sha256.Sum256(d.want.code)
	if base64.StdEncoding.EncodeToString(sum[:]) != aws.ToString(have.CodeSha256) {
		changed = true
		in := &lambda.UpdateFunctionCodeInput{FunctionName: &d.want.name, ZipFile: d.want.code}
		if d.want.flags.arch != "" {
			in.Architectures = []types.Architecture{types.Architecture(d.want.arch)}
		}
		if err := d.updated(ctx, "Updating the code of "+d.want.name, func() error {
			_, err := d.api.UpdateFunctionCode(ctx, in)
			return err
		}); err != nil {
			return true, err
		}
	}
	if in, differs := d.configChange(have); differs {
		changed = true
		if err := d.updated(ctx, "Updating the configuration of "+d.want.name, func() error {
			_, err := d.api.UpdateFunctionConfiguration(ctx, in)
			return err
		}); err != nil {
			return true, err
		}
	}
	if len(d.want.tags) > 0 {
		changed = true
		if _, err := d.api.TagResource(ctx, &lambda.TagResourceInput{Resource: have.FunctionArn, Tags: d.want.tags}); err != nil {
			return true, err
		}
	}
	return changed, nil
}

// configChange is the request that brings a function's configuration to what the flags ask for.
func (d *deployer) configChange(have *lambda.GetFunctionConfigurationOutput) (*lambda.UpdateFunctionConfigurationInput, bool) {
	w := d.want
	in := &lambda.UpdateFunctionConfigurationInput{FunctionName: &w.name}
	differs := false
	// A function's runtime and handler were chosen once, perhaps by hand: a guess replaces them only when the folder
	// has become another language.
	other := runtimeFamily(w.guess.Runtime) != runtimeFamily(string(have.Runtime))
	if (w.flags.runtime != "" || other) && w.guess.Runtime != string(have.Runtime) {
		in.Runtime, differs = types.Runtime(w.guess.Runtime), true
	}
	if (w.flags.handler != "" || other) && w.guess.Handler != aws.ToString(have.Handler) {
		in.Handler, differs = &w.guess.Handler, true
	}
	if w.role != "" && w.role != aws.ToString(have.Role) {
		in.Role, differs = &w.role, true
	}
	if w.memory != nil && *w.memory != aws.ToInt32(have.MemorySize) {
		in.MemorySize, differs = w.memory, true
	}
	if w.timeout != nil && *w.timeout != aws.ToInt32(have.Timeout) {
		in.Timeout, differs = w.timeout, true
	}
	vars := map[string]string{}
	if have.Environment != nil {
		maps.Copy(vars, have.Environment.Variables)
	}
	before := maps.Clone(vars)
	maps.Copy(vars, w.env)
	if !maps.Equal(before, vars) {
		in.Environment, differs = &types.Environment{Variables: vars}, true
	}
	return in, differs
}

func (d *deployer) updated(ctx context.Context, what string, do func() error) error {
	if err := step(d.stderr, what, do); err != nil {
		return err
	}
	return d.wait(ctx, "updated", func(ctx context.Context) error {
		return lambda.NewFunctionUpdatedV2Waiter(d.api, func(o *lambda.FunctionUpdatedV2WaiterOptions) { o.MinDelay, o.MaxDelay = pollEvery, time.Second }).
			Wait(ctx, &lambda.GetFunctionInput{FunctionName: &d.want.name}, waitLimit)
	})
}

// wait runs a waiter; when that fails, the function's own reason is the better error.
func (d *deployer) wait(ctx context.Context, state string, waiter func(context.Context) error) error {
	return step(d.stderr, "Waiting for "+d.want.name+" to be "+state, func() error {
		err := waiter(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		cfg, cerr := d.api.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &d.want.name})
		if cerr != nil {
			return err
		}
		if cfg.State == types.StateFailed {
			return fmt.Errorf("%s failed: %s", d.want.name, aws.ToString(cfg.StateReason))
		}
		if cfg.LastUpdateStatus == types.LastUpdateStatusFailed {
			return fmt.Errorf("the update of %s failed: %s", d.want.name, aws.ToString(cfg.LastUpdateStatusReason))
		}
		return err
	})
}

// ensureURL returns the function's URL, making it when there is none.
func (d *deployer) ensureURL(ctx context.Context) (string, error) {
	have, err := d.api.GetFunctionUrlConfig(ctx, &lambda.GetFunctionUrlConfigInput{FunctionName: &d.want.name})
	if err == nil {
		return aws.ToString(have.FunctionUrl), nil
	}
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		return "", err
	}
	made, err := d.api.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: &d.want.name, AuthType: types.FunctionUrlAuthTypeNone})
	if err != nil {
		return "", err
	}
	return aws.ToString(made.FunctionUrl), nil
}

// defaultRole is the execution role of functions that were deployed without naming one.
const defaultRole = "mayfly-function"

const lambdaMayAssume = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

func (d *deployer) ensureRole(ctx context.Context) (string, error) {
	api := d.c.iam()
	got, err := api.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(defaultRole)})
	if err == nil {
		return aws.ToString(got.Role.Arn), nil
	}
	var missing *iamtypes.NoSuchEntityException
	if !errors.As(err, &missing) {
		return "", err
	}
	made, err := api.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String(defaultRole), AssumeRolePolicyDocument: aws.String(lambdaMayAssume),
		Description: aws.String("Execution role of functions deployed by mayfly deploy"),
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(made.Role.Arn), nil
}

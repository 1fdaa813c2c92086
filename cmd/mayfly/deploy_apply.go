package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

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

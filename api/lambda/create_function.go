package lambda

import (
	"context"
	"fmt"
	"time"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/function"
)

// Lambda's defaults.
const (
	defaultTimeout     = 3 // seconds
	defaultMemoryMB    = 128
	defaultEphemeralMB = 512
	maxFunctionName    = 64
)

func (s *Service) createFunction(ctx context.Context, r *awswire.Request, in *lambdaapi.CreateFunctionRequest) (*lambdaapi.FunctionConfiguration, error) {
	t, err := s.newName(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := s.checkCreate(in); err != nil {
		return nil, err
	}
	rt, err := s.runtime(*in.Runtime)
	if err != nil {
		return nil, err
	}
	if err := s.checkRole(ctx, *in.Role); err != nil {
		return nil, err
	}
	logs, err := loggingConfig(in.LoggingConfig)
	if err != nil {
		return nil, err
	}
	create := function.CreateInput{
		ID:                    t.id,
		Description:           awswire.Value(in.Description),
		Runtime:               rt.Name,
		RuntimeMappedFrom:     mappedFrom(*in.Runtime, rt),
		RuntimeVersionARN:     runtimeVersionARN(t.id.Region, rt),
		RuntimeManagementMode: "Auto",
		RecursiveLoop:         "Terminate",
		Handler:               *in.Handler,
		Role:                  *in.Role,
		Timeout:               time.Duration(value(in.Timeout, defaultTimeout)) * time.Second,
		MemoryMB:              value(in.MemorySize, defaultMemoryMB),
		EphemeralMB:           defaultEphemeralMB,
		Architectures:         in.Architectures,
		PackageType:           "Zip",
		TracingMode:           "PassThrough",
		SnapStart:             "None",
		KMSKeyARN:             awswire.Value(in.KMSKeyArn),
		Logging:               logs,
		Vpc:                   vpc(in.VpcConfig),
		Egress:                in.Tags[EgressTag],
		Zip:                   in.Code.ZipFile,
		Tags:                  in.Tags,
		Publish:               awswire.Value(in.Publish),
	}
	if create.Architectures == nil {
		create.Architectures = []string{s.options.Architecture}
	}
	if in.Environment != nil {
		create.Environment = in.Environment.Variables
	}
	if in.EphemeralStorage != nil {
		create.EphemeralMB = value(in.EphemeralStorage.Size, defaultEphemeralMB)
	}
	if in.TracingConfig != nil {
		create.TracingMode = value(in.TracingConfig.Mode, create.TracingMode)
	}
	if in.SnapStart != nil {
		create.SnapStart = value(in.SnapStart.ApplyOn, create.SnapStart)
	}
	if in.DeadLetterConfig != nil {
		create.DeadLetterARN = awswire.Value(in.DeadLetterConfig.TargetArn)
	}
	v, err := s.options.Functions.Create(ctx, create)
	if err != nil {
		return nil, err
	}
	return configuration(v, ""), nil
}

// newName reads the name of a function that is to be made: unqualified, in the caller's own account and region.
func (s *Service) newName(r *awswire.Request, name string) (target, error) {
	t, err := s.unqualified(r, name)
	if err == nil && len(t.id.Name) > maxFunctionName {
		err = &awswire.ValidationError{Violations: []string{fmt.Sprintf(
			"Value '%s' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to %d", t.id.Name, maxFunctionName)}}
	}
	return t, err
}

// checkCreate refuses what the model allows and Lambda, or Mayfly, does not.
func (s *Service) checkCreate(in *lambdaapi.CreateFunctionRequest) error {
	if awswire.Value(in.PackageType) == "Image" {
		return unsupported("PackageType Image")
	}
	if awswire.Value(in.Runtime) == "" || awswire.Value(in.Handler) == "" {
		return mayfly.Errorf(mayfly.KindInvalid, "Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	if err := checkZip(in.Code.ZipFile, in.Code.S3Bucket, in.Code.S3Key, in.Code.ImageUri); err != nil {
		return err
	}
	if err := refuseSettings(in.Layers, in.FileSystemConfigs, in.ImageConfig, in.CapacityProviderConfig, in.DurableConfig); err != nil {
		return err
	}
	switch {
	case in.CodeSigningConfigArn != nil:
		return unsupported("CodeSigningConfigArn")
	case in.TenancyConfig != nil:
		return unsupported("TenancyConfig")
	case in.PublishTo != nil:
		return unsupported("PublishTo")
	}
	if in.Environment != nil {
		if err := s.checkEnvironment(in.Environment.Variables); err != nil {
			return err
		}
	}
	if err := checkTags(in.Tags, 0); err != nil {
		return err
	}
	return s.checkArchitectures(in.Architectures)
}

func value[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}

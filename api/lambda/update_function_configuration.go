package lambda

import (
	"context"
	"time"

	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/function"
)

func (s *Service) updateFunctionConfiguration(ctx context.Context, r *awswire.Request, in *lambdaapi.UpdateFunctionConfigurationRequest) (*lambdaapi.FunctionConfiguration, error) {
	t, err := s.unqualified(r, *in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := s.lookup(t); err != nil {
		return nil, err
	}
	if err := refuseSettings(in.Layers, in.FileSystemConfigs, in.ImageConfig, in.CapacityProviderConfig, in.DurableConfig); err != nil {
		return nil, err
	}
	change := function.ConfigInput{
		RevisionID:  awswire.Value(in.RevisionId),
		Description: in.Description,
		Handler:     in.Handler,
		Role:        in.Role,
		MemoryMB:    in.MemorySize,
		KMSKeyARN:   in.KMSKeyArn,
		Vpc:         vpc(in.VpcConfig),
	}
	if in.Role != nil {
		if err := s.checkRole(ctx, *in.Role); err != nil {
			return nil, err
		}
	}
	if in.Runtime != nil {
		rt, err := s.runtime(*in.Runtime)
		if err != nil {
			return nil, err
		}
		change.Runtime = &rt.Name
		change.RuntimeMappedFrom = awswire.Ptr(mappedFrom(*in.Runtime, rt))
		change.RuntimeVersionARN = awswire.Ptr(runtimeVersionARN(t.id.Region, rt))
	}
	if in.Environment != nil {
		vars := in.Environment.Variables
		if err := s.checkEnvironment(vars); err != nil {
			return nil, err
		}
		change.Environment = &vars
	}
	if in.LoggingConfig != nil {
		logs, err := loggingConfig(in.LoggingConfig)
		if err != nil {
			return nil, err
		}
		change.Logging = &logs
	}
	if in.Timeout != nil {
		change.Timeout = awswire.Ptr(time.Duration(*in.Timeout) * time.Second)
	}
	if in.EphemeralStorage != nil {
		change.EphemeralMB = in.EphemeralStorage.Size
	}
	if in.TracingConfig != nil {
		change.TracingMode = in.TracingConfig.Mode
	}
	if in.SnapStart != nil {
		change.SnapStart = in.SnapStart.ApplyOn
	}
	if in.DeadLetterConfig != nil {
		change.DeadLetterARN = awswire.Ptr(awswire.Value(in.DeadLetterConfig.TargetArn))
	}
	v, err := s.options.Functions.UpdateConfig(ctx, t.id, change)
	if err != nil {
		return nil, err
	}
	return configuration(v, ""), nil
}

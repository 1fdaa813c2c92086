package lambda

import (
	"context"
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/sandbox"
)

// EgressTag is the tag that sets a function's network policy: none, internet, or a list of CIDRs.
const EgressTag = "mayfly:egress"

// reservedEnv are the variables that Lambda sets and functions cannot
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime).
var reservedEnv = []string{
	"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
	"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
	"AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN",
	"AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_HANDLER", "_X_AMZN_TRACE_ID",
}

const envTrouble = "Lambda was unable to configure your environment variables because the environment variables you have provided "

func (s *Service) checkEnvironment(vars map[string]string) error {
	var reserved []string
	for name := range vars {
		if _, found := slices.BinarySearch(reservedEnv, name); found {
			reserved = append(reserved, name)
		}
	}
	if reserved != nil {
		sort.Strings(reserved)
		return mayfly.Errorf(mayfly.KindInvalid, envTrouble+
			"contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s",
			strings.Join(reserved, ", "))
	}
	measured, err := json.Marshal(vars)
	if err != nil {
		return err
	}
	if len(measured) > s.options.Limits.EnvironmentBytes && len(vars) > 0 {
		return mayfly.Errorf(mayfly.KindInvalid, envTrouble+"exceeded the 4KB limit. String measured: %s", measured)
	}
	return nil
}

// runtime finds the runtime that a function asks for. Names that Lambda does not know get Lambda's own answer.
func (s *Service) runtime(name string) (Runtime, error) {
	if known := lambdaapi.Service.Enum("Runtime"); !slices.Contains(known, name) {
		return Runtime{}, mayfly.Errorf(mayfly.KindInvalid,
			"Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s] or be a valid ARN",
			name, strings.Join(known, ", "))
	}
	return s.options.Runtimes.Resolve(name)
}

// mappedFrom is what a version records when a setting runs it on another runtime than it asked for.
func mappedFrom(asked string, rt Runtime) string {
	if asked == rt.Name {
		return ""
	}
	return asked
}

func (s *Service) checkArchitectures(asked []string) error {
	for _, a := range asked {
		if a != s.options.Architecture {
			return mayfly.Errorf(mayfly.KindInvalid,
				"Architecture %s cannot run here: this machine is %s. Build the function for %s and set Architectures to [%s].",
				a, s.options.Architecture, s.options.Architecture, s.options.Architecture)
		}
	}
	return nil
}

func (s *Service) checkRole(ctx context.Context, arn string) error {
	if s.options.Roles == nil {
		return nil
	}
	found, err := s.options.Roles.RoleExists(ctx, arn)
	if err != nil {
		return err
	}
	if !found {
		return mayfly.Errorf(mayfly.KindInvalid, "The role defined for the function cannot be assumed by Lambda.")
	}
	return nil
}

// unsupported words what Lambda has and Mayfly would have to ignore, and what to do instead, if there is something.
func unsupported(what string, instead ...string) error {
	return mayfly.Errorf(mayfly.KindInvalid, "Mayfly does not support %s yet; %s",
		what, strings.Join(append(instead, "see docs/compatibility.md"), "; "))
}

// refuseSettings refuses the settings that would silently do nothing and change what the function does.
func refuseSettings(layers []string, fs []lambdaapi.FileSystemConfig, image *lambdaapi.ImageConfig,
	capacity *lambdaapi.CapacityProviderConfig, durable *lambdaapi.DurableConfig) error {
	switch {
	case len(layers) > 0:
		return unsupported("Layers", "put the layer's files into the deployment package")
	case len(fs) > 0:
		return unsupported("FileSystemConfigs")
	case image != nil && (image.Command != nil || image.EntryPoint != nil || image.WorkingDirectory != nil):
		return mayfly.Errorf(mayfly.KindInvalid, "ImageConfig is not supported for functions of package type Zip.")
	case capacity != nil:
		return unsupported("CapacityProviderConfig")
	case durable != nil:
		return unsupported("DurableConfig")
	}
	return nil
}

// checkZip refuses code that does not come inline.
func checkZip(zip []byte, bucket, key, image *string) error {
	switch {
	case bucket != nil || key != nil:
		return unsupported("code from S3", "send the package inline as ZipFile")
	case image != nil:
		return unsupported("container images", "send a package as ZipFile")
	case len(zip) == 0:
		return mayfly.Errorf(mayfly.KindInvalid, "Please provide a source for function code.")
	}
	return nil
}

// Limits of tags (https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html).
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

func checkTags(tags map[string]string, have int) error {
	if have+len(tags) > maxTags {
		return mayfly.Errorf(mayfly.KindInvalid, "Number of tags exceeds function tag limit of %d", maxTags)
	}
	for k, v := range tags {
		switch {
		case k == "" || len([]rune(k)) > maxTagKey:
			return mayfly.Errorf(mayfly.KindInvalid, "The tag key %q must have 1 to %d characters", k, maxTagKey)
		case len([]rune(v)) > maxTagValue:
			return mayfly.Errorf(mayfly.KindInvalid, "The value of the tag %s must have at most %d characters", k, maxTagValue)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return mayfly.Errorf(mayfly.KindInvalid, "The tag key %s is reserved: keys must not begin with aws:", k)
		}
	}
	if egress, ok := tags[EgressTag]; ok {
		if _, err := sandbox.ParseEgress(egress); err != nil {
			return mayfly.Errorf(mayfly.KindInvalid, "tag %s: %w", EgressTag, err)
		}
	}
	return nil
}

func vpc(in *lambdaapi.VpcConfig) *mayfly.VpcConfig {
	if in == nil {
		return nil
	}
	return &mayfly.VpcConfig{SubnetIDs: in.SubnetIds, SecurityGroupIDs: in.SecurityGroupIds,
		IPv6Allowed: awswire.Value(in.Ipv6AllowedForDualStack)}
}

// loggingConfig reads a LoggingConfig. Levels are for JSON only, and Lambda fills them in there.
func loggingConfig(in *lambdaapi.LoggingConfig) (mayfly.Logging, error) {
	if in == nil {
		return mayfly.Logging{Format: "Text"}, nil
	}
	l := mayfly.Logging{
		Format:           or(awswire.Value(in.LogFormat), "Text"),
		ApplicationLevel: awswire.Value(in.ApplicationLogLevel),
		SystemLevel:      awswire.Value(in.SystemLogLevel),
		Group:            awswire.Value(in.LogGroup),
	}
	if l.Format == "JSON" {
		l.ApplicationLevel, l.SystemLevel = or(l.ApplicationLevel, "INFO"), or(l.SystemLevel, "INFO")
	} else if l.ApplicationLevel != "" || l.SystemLevel != "" {
		return l, mayfly.Errorf(mayfly.KindInvalid, "To use ApplicationLogLevel or SystemLogLevel, you must set LogFormat to JSON.")
	}
	return l, nil
}

package lambda

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

// lastModified is how Lambda prints a version's LastModified.
const lastModified = "2006-01-02T15:04:05.000-0700"

// configuration is a version as Lambda describes it; qualifier is the one that the caller asked with.
func configuration(v *mayfly.Version, qualifier string) *lambdaapi.FunctionConfiguration {
	arn := v.ARN()
	if qualifier != "" {
		arn = v.ID.ARN(qualifier)
	}
	c := &lambdaapi.FunctionConfiguration{
		FunctionName:     &v.ID.Name,
		FunctionArn:      &arn,
		Version:          &v.Version,
		Description:      &v.Description,
		Runtime:          text(askedRuntime(v)),
		Handler:          text(v.Handler),
		Role:             &v.Role,
		Timeout:          awswire.Ptr(int(v.Timeout / time.Second)),
		MemorySize:       &v.MemoryMB,
		EphemeralStorage: &lambdaapi.EphemeralStorage{Size: &v.EphemeralMB},
		Architectures:    v.Architectures,
		PackageType:      &v.PackageType,
		CodeSha256:       &v.Code.SHA256,
		CodeSize:         &v.Code.Size,
		LastModified:     awswire.Ptr(v.LastModified.UTC().Format(lastModified)),
		RevisionId:       &v.RevisionID,
		TracingConfig:    &lambdaapi.TracingConfigResponse{Mode: &v.TracingMode},
		SnapStart: &lambdaapi.SnapStartResponse{ApplyOn: awswire.Ptr(or(v.SnapStart, "None")),
			OptimizationStatus: awswire.Ptr("Off")},
		LoggingConfig:              logging(v),
		KMSKeyArn:                  text(v.KMSKeyARN),
		State:                      text(string(v.State)),
		StateReason:                text(v.StateReason),
		StateReasonCode:            text(v.StateReasonCode),
		LastUpdateStatus:           text(string(v.LastUpdateStatus)),
		LastUpdateStatusReason:     text(v.LastUpdateReason),
		LastUpdateStatusReasonCode: text(v.LastUpdateReasonCode),
	}
	if v.RuntimeMappedFrom != "" && v.StateReason == "" {
		c.StateReason = awswire.Ptr("Runs on " + v.Runtime + ": a setting of this server maps " + v.RuntimeMappedFrom + " to it.")
	}
	if v.RuntimeVersionARN != "" {
		c.RuntimeVersionConfig = &lambdaapi.RuntimeVersionConfig{RuntimeVersionArn: &v.RuntimeVersionARN}
	}
	if v.Environment != nil {
		c.Environment = &lambdaapi.EnvironmentResponse{Variables: v.Environment}
	}
	if v.DeadLetterARN != "" {
		c.DeadLetterConfig = &lambdaapi.DeadLetterConfig{TargetArn: &v.DeadLetterARN}
	}
	if v.Vpc != nil {
		c.VpcConfig = &lambdaapi.VpcConfigResponse{SubnetIds: list(v.Vpc.SubnetIDs), SecurityGroupIds: list(v.Vpc.SecurityGroupIDs),
			VpcId: awswire.Ptr(""), Ipv6AllowedForDualStack: &v.Vpc.IPv6Allowed}
	}
	return c
}

// askedRuntime is the runtime that the function was deployed for, also where a setting maps it to another one.
func askedRuntime(v *mayfly.Version) string { return or(v.RuntimeMappedFrom, v.Runtime) }

func logging(v *mayfly.Version) *lambdaapi.LoggingConfig {
	return &lambdaapi.LoggingConfig{
		LogFormat:           awswire.Ptr(or(v.Logging.Format, "Text")),
		LogGroup:            awswire.Ptr(v.LogGroup()),
		ApplicationLogLevel: text(v.Logging.ApplicationLevel),
		SystemLogLevel:      text(v.Logging.SystemLevel),
	}
}

// runtimeVersionARN names the exact interpreter, as Lambda's RuntimeVersionArn names its image.
func runtimeVersionARN(region string, rt Runtime) string {
	sum := sha256.Sum256([]byte(rt.Name + " " + rt.Version))
	return "arn:aws:lambda:" + region + "::runtime:" + hex.EncodeToString(sum[:])
}

// text is an optional member: absent when empty.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// list is a list member that is there even when it has no elements.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

package lambda_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"sort"
	"strings"
	"time"

	"mayfly"
	"mayfly/api/lambda"
	"mayfly/function"
)

// fakeFunctions is a registry in memory with predictable times and revisions, so that answers can be compared byte for
// byte. TestRegistry runs the same operations over the real one.
type fakeFunctions struct {
	lambda.Functions // nil: versions, aliases and concurrency are tested over the real registry

	now      time.Time
	revision int
	versions map[mayfly.FunctionID]*mayfly.Version
	tags     map[mayfly.FunctionID]map[string]string
	urls     map[mayfly.FunctionID]*mayfly.URLConfig
	code     map[string][]byte
}

var _ lambda.Functions = (*fakeFunctions)(nil)

func newFake() *fakeFunctions {
	return &fakeFunctions{
		now:      time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC),
		versions: map[mayfly.FunctionID]*mayfly.Version{}, tags: map[mayfly.FunctionID]map[string]string{},
		urls: map[mayfly.FunctionID]*mayfly.URLConfig{}, code: map[string][]byte{},
	}
}

func (f *fakeFunctions) change(v *mayfly.Version) *mayfly.Version {
	f.revision++
	v.RevisionID = fmt.Sprintf("00000000-0000-4000-8000-%012d", f.revision)
	v.LastModified = f.now
	f.versions[v.ID] = v
	return v
}

func (f *fakeFunctions) store(zip []byte) mayfly.CodeRef {
	sum := sha256.Sum256(zip)
	digest := hex.EncodeToString(sum[:])
	f.code[digest] = zip
	return mayfly.CodeRef{Digest: digest, SHA256: base64.StdEncoding.EncodeToString(sum[:]), Size: int64(len(zip))}
}

func (f *fakeFunctions) Lookup(id mayfly.FunctionID, qualifier string) (*mayfly.Version, error) {
	v := f.versions[id]
	if v == nil || qualifier != "" && qualifier != mayfly.Latest {
		return nil, mayfly.Errorf(mayfly.KindNotFound, "no %s", id)
	}
	return v, nil
}

func (f *fakeFunctions) Route(id mayfly.FunctionID, qualifier string) (*mayfly.Version, error) {
	return f.Lookup(id, qualifier)
}

func (f *fakeFunctions) Function(id mayfly.FunctionID) (*mayfly.Function, error) {
	if _, err := f.Lookup(id, ""); err != nil {
		return nil, err
	}
	return &mayfly.Function{ID: id, Tags: f.tags[id]}, nil
}

func (f *fakeFunctions) List(account, region, after string, max int) (vs []*mayfly.Version, next string) {
	for id, v := range f.versions {
		if id.Account == account && id.Region == region && id.Name > after {
			vs = append(vs, v)
		}
	}
	sort.Slice(vs, func(i, j int) bool { return vs[i].ID.Name < vs[j].ID.Name })
	if len(vs) > max {
		return vs[:max], vs[max-1].ID.Name
	}
	return vs, ""
}

func (f *fakeFunctions) ListVersions(id mayfly.FunctionID) ([]*mayfly.Version, error) {
	v, err := f.Lookup(id, "")
	if err != nil {
		return nil, err
	}
	one := *v
	one.Version = "1"
	return []*mayfly.Version{v, &one}, nil
}

func (f *fakeFunctions) Create(_ context.Context, in function.CreateInput) (*mayfly.Version, error) {
	if f.versions[in.ID] != nil {
		return nil, mayfly.Errorf(mayfly.KindConflict, "Function already exist: %s", in.ID.Name)
	}
	f.tags[in.ID] = maps.Clone(in.Tags)
	v := f.change(&mayfly.Version{ID: in.ID, Version: mayfly.Latest, Description: in.Description, Runtime: in.Runtime,
		Handler: in.Handler, Role: in.Role, Timeout: in.Timeout, MemoryMB: in.MemoryMB, EphemeralMB: in.EphemeralMB,
		Environment: in.Environment, Architectures: in.Architectures, PackageType: in.PackageType, TracingMode: in.TracingMode,
		DeadLetterARN: in.DeadLetterARN, KMSKeyARN: in.KMSKeyARN, Logging: in.Logging, Vpc: in.Vpc, SnapStart: in.SnapStart,
		Egress: in.Egress, RuntimeVersionARN: in.RuntimeVersionARN, RuntimeMappedFrom: in.RuntimeMappedFrom, Code: f.store(in.Zip),
		State: mayfly.StateActive, LastUpdateStatus: mayfly.UpdateSuccessful})
	pending := *v
	pending.State, pending.StateReasonCode, pending.StateReason = mayfly.StatePending, "Creating", "The function is being created."
	pending.LastUpdateStatus = ""
	return &pending, nil
}

func (f *fakeFunctions) edit(id mayfly.FunctionID, revision string, change func(*mayfly.Version)) (*mayfly.Version, error) {
	v := *f.versions[id]
	if revision != "" && revision != v.RevisionID {
		return nil, mayfly.Errorf(mayfly.KindPrecondition, "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
	}
	change(&v)
	out := *f.change(&v)
	out.LastUpdateStatus, out.LastUpdateReasonCode, out.LastUpdateReason = mayfly.UpdateInProgress, "Creating", "The function is being created."
	return &out, nil
}

func (f *fakeFunctions) UpdateCode(_ context.Context, id mayfly.FunctionID, in function.CodeInput) (*mayfly.Version, error) {
	return f.edit(id, in.RevisionID, func(v *mayfly.Version) { v.Code = f.store(in.Zip) })
}

func (f *fakeFunctions) UpdateConfig(_ context.Context, id mayfly.FunctionID, in function.ConfigInput) (*mayfly.Version, error) {
	return f.edit(id, in.RevisionID, func(v *mayfly.Version) {
		set(&v.Description, in.Description)
		set(&v.Runtime, in.Runtime)
		set(&v.RuntimeMappedFrom, in.RuntimeMappedFrom)
		set(&v.Handler, in.Handler)
		set(&v.Role, in.Role)
		set(&v.Timeout, in.Timeout)
		set(&v.MemoryMB, in.MemoryMB)
		set(&v.EphemeralMB, in.EphemeralMB)
		set(&v.Environment, in.Environment)
		set(&v.TracingMode, in.TracingMode)
		set(&v.DeadLetterARN, in.DeadLetterARN)
		set(&v.Logging, in.Logging)
		set(&v.Egress, in.Egress)
		set(&v.RuntimeVersionARN, in.RuntimeVersionARN)
	})
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (f *fakeFunctions) Delete(_ context.Context, id mayfly.FunctionID, _ string) error {
	delete(f.versions, id)
	return nil
}

func (f *fakeFunctions) SetTags(_ context.Context, id mayfly.FunctionID, add map[string]string, remove []string) error {
	if f.tags[id] == nil {
		f.tags[id] = map[string]string{}
	}
	maps.Copy(f.tags[id], add)
	for _, k := range remove {
		delete(f.tags[id], k)
	}
	return nil
}

func (f *fakeFunctions) OpenCode(_ context.Context, v *mayfly.Version) (io.ReadCloser, int64, error) {
	zip := f.code[v.Code.Digest]
	return io.NopCloser(bytes.NewReader(zip)), int64(len(zip)), nil
}

func (f *fakeFunctions) Usage(string, string) (codeBytes int64, functions int) {
	for _, v := range f.versions {
		codeBytes += v.Code.Size
	}
	return codeBytes, len(f.versions)
}

func (f *fakeFunctions) SetAside(string, string) int { return 0 }

func (f *fakeFunctions) CreateURL(_ context.Context, in function.URLInput) (*mayfly.URLConfig, error) {
	if f.urls[in.Function] != nil {
		return nil, mayfly.Errorf(mayfly.KindConflict, "Failed to create function url config for [functionArn = %s]. Error message:  FunctionUrlConfig exists for this Lambda function", in.Function)
	}
	f.urls[in.Function] = &mayfly.URLConfig{ID: "abcdef", Function: in.Function, Qualifier: in.Qualifier, AuthType: in.AuthType,
		InvokeMode: in.InvokeMode, CORS: in.CORS, CreatedAt: f.now, ModifiedAt: f.now}
	return f.urls[in.Function], nil
}

func (f *fakeFunctions) GetURL(id mayfly.FunctionID, _ string) (*mayfly.URLConfig, error) {
	if u := f.urls[id]; u != nil {
		return u, nil
	}
	return nil, mayfly.Errorf(mayfly.KindNotFound, "none")
}

func (f *fakeFunctions) UpdateURL(_ context.Context, id mayfly.FunctionID, _ string, in function.URLUpdate) (*mayfly.URLConfig, error) {
	u, err := f.GetURL(id, "")
	if err != nil {
		return nil, err
	}
	out := *u
	set(&out.AuthType, in.AuthType)
	if in.CORS != nil {
		out.CORS = in.CORS
	}
	f.urls[id] = &out
	return &out, nil
}

func (f *fakeFunctions) DeleteURL(_ context.Context, id mayfly.FunctionID, _ string) error {
	_, err := f.GetURL(id, "")
	delete(f.urls, id)
	return err
}

func (f *fakeFunctions) ListURLs(id mayfly.FunctionID, _ string, _ int) (us []*mayfly.URLConfig, next string, err error) {
	if u := f.urls[id]; u != nil {
		us = append(us, u)
	}
	return us, "", nil
}

// echo answers with the payload, or with what the payload asks for.
type echo struct{ last *mayfly.Invocation }

func (e *echo) Invoke(_ context.Context, inv *mayfly.Invocation) (*mayfly.Result, error) {
	e.last = inv
	switch {
	case bytes.Contains(inv.Payload, []byte("throttle")):
		return nil, &mayfly.Error{Kind: mayfly.KindThrottled, Message: "Rate Exceeded.", Reason: "ConcurrentInvocationLimitExceeded"}
	case bytes.Contains(inv.Payload, []byte("fail")):
		return &mayfly.Result{Payload: []byte(`{"errorMessage":"boom","errorType":"Error"}`), FunctionError: "Unhandled", ExecutedVersion: "$LATEST"}, nil
	case bytes.Contains(inv.Payload, []byte("broken")):
		return nil, fmt.Errorf("no sandbox")
	}
	r := &mayfly.Result{Payload: inv.Payload, ExecutedVersion: inv.Version.Version}
	if inv.WantLogTail {
		r.LogTail = []byte("START RequestId: " + inv.RequestID + "\n")
	}
	return r, nil
}

// fewRuntimes has nodejs22.x, and runs nodejs18.x on it.
type fewRuntimes struct{}

func (fewRuntimes) Resolve(name string) (lambda.Runtime, error) {
	switch name {
	case "nodejs22.x", "nodejs18.x":
		return lambda.Runtime{Name: "nodejs22.x", Version: "22.1.0"}, nil
	case "provided.al2023":
		return lambda.Runtime{Name: name}, nil
	}
	return lambda.Runtime{}, mayfly.Errorf(mayfly.KindInvalid, "runtime %s is not on this machine; present are nodejs22.x, provided.al2023", name)
}

// goodRoles are those whose name does not end in "missing".
type goodRoles struct{}

func (goodRoles) RoleExists(_ context.Context, arn string) (bool, error) {
	return !strings.HasSuffix(arn, "missing"), nil
}

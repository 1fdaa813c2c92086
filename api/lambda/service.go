package lambda

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
	"mayfly/function"
)

// Functions is the registry of functions, as *function.Registry has it.
type Functions interface {
	Lookup(id mayfly.FunctionID, qualifier string) (*mayfly.Version, error)
	Route(id mayfly.FunctionID, qualifier string) (*mayfly.Version, error)
	Function(id mayfly.FunctionID) (*mayfly.Function, error)
	List(account, region, after string, max int) (vs []*mayfly.Version, next string)
	ListVersions(id mayfly.FunctionID) ([]*mayfly.Version, error)
	Create(ctx context.Context, in function.CreateInput) (*mayfly.Version, error)
	UpdateCode(ctx context.Context, id mayfly.FunctionID, in function.CodeInput) (*mayfly.Version, error)
	UpdateConfig(ctx context.Context, id mayfly.FunctionID, in function.ConfigInput) (*mayfly.Version, error)
	Delete(ctx context.Context, id mayfly.FunctionID, qualifier string) error
	Publish(ctx context.Context, id mayfly.FunctionID, in function.PublishInput) (*mayfly.Version, error)
	CreateAlias(ctx context.Context, in function.AliasInput) (*mayfly.Alias, error)
	UpdateAlias(ctx context.Context, id mayfly.FunctionID, name string, in function.AliasUpdate) (*mayfly.Alias, error)
	DeleteAlias(ctx context.Context, id mayfly.FunctionID, name string) error
	GetAlias(id mayfly.FunctionID, name string) (*mayfly.Alias, error)
	Reserve(ctx context.Context, id mayfly.FunctionID, n int) error
	Unreserve(ctx context.Context, id mayfly.FunctionID) error
	SetAside(account, region string) int
	Provision(ctx context.Context, id mayfly.FunctionID, qualifier string, n int) (*mayfly.Provisioned, error)
	Unprovision(ctx context.Context, id mayfly.FunctionID, qualifier string) error
	GetProvisioned(id mayfly.FunctionID, qualifier string) (*mayfly.Provisioned, error)
	ListProvisioned(id mayfly.FunctionID, after string, max int) (ps []*mayfly.Provisioned, next string, err error)
	ListAliases(id mayfly.FunctionID, version, after string, max int) (as []*mayfly.Alias, next string, err error)
	SetTags(ctx context.Context, id mayfly.FunctionID, add map[string]string, remove []string) error
	OpenCode(ctx context.Context, v *mayfly.Version) (io.ReadCloser, int64, error)
	Usage(account, region string) (codeBytes int64, functions int)
	CreateURL(ctx context.Context, in function.URLInput) (*mayfly.URLConfig, error)
	UpdateURL(ctx context.Context, id mayfly.FunctionID, qualifier string, in function.URLUpdate) (*mayfly.URLConfig, error)
	DeleteURL(ctx context.Context, id mayfly.FunctionID, qualifier string) error
	GetURL(id mayfly.FunctionID, qualifier string) (*mayfly.URLConfig, error)
	ListURLs(id mayfly.FunctionID, after string, max int) (us []*mayfly.URLConfig, next string, err error)
}

var _ Functions = (*function.Registry)(nil)

// Invoker runs functions.
type Invoker interface {
	Invoke(ctx context.Context, inv *mayfly.Invocation) (*mayfly.Result, error)
}

// AsyncInvoker takes invocations that nobody waits for (InvocationType Event). It returns once the event is durable.
type AsyncInvoker interface {
	InvokeAsync(ctx context.Context, inv *mayfly.Invocation) error
}

// Runtimes tells which runtimes functions can use on this machine.
type Runtimes interface {
	// Resolve returns the runtime that runs functions that ask for the named one: itself, or what a setting maps it to.
	// Its error is of KindInvalid, lists what there is, and says how to add what is missing.
	Resolve(name string) (Runtime, error)
}

// Runtime is a runtime of this machine.
type Runtime struct {
	Name    string // differs from the asked-for name when a setting maps that one to this
	Version string // of the interpreter
}

// Roles tells whether an execution role is there.
type Roles interface {
	RoleExists(ctx context.Context, roleARN string) (bool, error)
}

// Options set up a Service. Functions, Invoker, Runtimes and URLFor are required.
type Options struct {
	Functions Functions
	Invoker   Invoker
	Async     AsyncInvoker // nil: InvocationType Event is refused
	Runtimes  Runtimes
	Roles     Roles // nil: roles are checked in form only
	// Allocations tells how far provisioned concurrency has come; nil: nothing is ever allocated.
	Allocations Allocations
	// URLFor returns the address of a function URL, ending in a slash, for a client that sent r.
	URLFor func(u *mayfly.URLConfig, r *http.Request) string

	Limits       mayfly.Limits // zero value: mayfly.DefaultLimits()
	Architecture string        // "x86_64" or "arm64"; default this machine's
	LinkKey      []byte        // signs links to code; default random, so that links end with the process
	Now          func() time.Time
	Log          *slog.Logger
}

// Service is the Lambda API. It is an awswire.ServiceHandler.
type Service struct {
	*awswire.Endpoint
	options Options
}

// New makes the service.
func New(o Options) *Service {
	if o.Limits == (mayfly.Limits{}) {
		o.Limits = mayfly.DefaultLimits()
	}
	if o.Architecture == "" {
		o.Architecture = "x86_64"
		if runtime.GOARCH == "arm64" {
			o.Architecture = "arm64"
		}
	}
	if o.LinkKey == nil {
		o.LinkKey = make([]byte, 32)
		_, _ = rand.Read(o.LinkKey) // never fails
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{options: o}
	s.Endpoint = awswire.NewEndpoint(lambdaapi.Service, awswire.EndpointOptions{
		Dialect: dialect(), BodyLimit: s.bodyLimit, Log: o.Log})
	s.route()
	return s
}

// route is the table of operations. Those of the model that are not in it answer that they are not implemented;
// docs/compatibility.md lists both, and a test compares.
func (s *Service) route() {
	e := s.Endpoint
	awswire.Handle(e, "CreateFunction", s.createFunction)
	awswire.Handle(e, "GetFunction", s.getFunction)
	awswire.Handle(e, "GetFunctionConfiguration", s.getFunctionConfiguration)
	awswire.Handle(e, "ListFunctions", s.listFunctions)
	awswire.Handle(e, "UpdateFunctionCode", s.updateFunctionCode)
	awswire.Handle(e, "UpdateFunctionConfiguration", s.updateFunctionConfiguration)
	awswire.Handle(e, "DeleteFunction", s.deleteFunction)
	e.HandleRaw("Invoke", s.invoke)

	awswire.Handle(e, "PublishVersion", s.publishVersion)
	awswire.Handle(e, "ListVersionsByFunction", s.listVersionsByFunction)
	awswire.Handle(e, "CreateAlias", s.createAlias)
	awswire.Handle(e, "GetAlias", s.getAlias)
	awswire.Handle(e, "UpdateAlias", s.updateAlias)
	awswire.Handle(e, "DeleteAlias", s.deleteAlias)
	awswire.Handle(e, "ListAliases", s.listAliases)

	awswire.Handle(e, "PutFunctionConcurrency", s.putFunctionConcurrency)
	awswire.Handle(e, "GetFunctionConcurrency", s.getFunctionConcurrency)
	awswire.Handle(e, "DeleteFunctionConcurrency", s.deleteFunctionConcurrency)
	awswire.Handle(e, "PutProvisionedConcurrencyConfig", s.putProvisionedConcurrencyConfig)
	awswire.Handle(e, "GetProvisionedConcurrencyConfig", s.getProvisionedConcurrencyConfig)
	awswire.Handle(e, "DeleteProvisionedConcurrencyConfig", s.deleteProvisionedConcurrencyConfig)
	awswire.Handle(e, "ListProvisionedConcurrencyConfigs", s.listProvisionedConcurrencyConfigs)

	awswire.Handle(e, "CreateFunctionUrlConfig", s.createFunctionURLConfig)
	awswire.Handle(e, "GetFunctionUrlConfig", s.getFunctionURLConfig)
	awswire.Handle(e, "UpdateFunctionUrlConfig", s.updateFunctionURLConfig)
	awswire.Handle(e, "DeleteFunctionUrlConfig", s.deleteFunctionURLConfig)
	awswire.Handle(e, "ListFunctionUrlConfigs", s.listFunctionURLConfigs)

	awswire.Handle(e, "TagResource", s.tagResource)
	awswire.Handle(e, "UntagResource", s.untagResource)
	awswire.Handle(e, "ListTags", s.listTags)
	awswire.Handle(e, "GetAccountSettings", s.getAccountSettings)
}

// dialect words the kinds of errors as Lambda does.
func dialect() awswire.Dialect {
	d := awswire.UsualDialect(awswire.RestJSON)
	kinds := map[mayfly.Kind]string{mayfly.KindQuota: "CodeStorageExceededException"}
	for kind, code := range d.Kinds {
		if _, ok := kinds[kind]; !ok {
			kinds[kind] = code
		}
	}
	d.Kinds = kinds
	return d
}

// Lambda's own limits on whole requests, as its errors name them.
const (
	codeRequestBytes   = 70167211 // 50 MB of zip in base64, and the rest of the request
	configRequestBytes = 5120     // UpdateFunctionConfiguration
	otherRequestBytes  = 1 << 20
)

func (s *Service) bodyLimit(op *awswire.Operation) awswire.BodyLimit {
	l := awswire.BodyLimit{Bytes: otherRequestBytes, Operation: op.Name}
	switch op.Name {
	case "Invoke":
		l = awswire.BodyLimit{Bytes: s.options.Limits.RequestBytes, Operation: "InvokeFunction"}
	case "CreateFunction", "UpdateFunctionCode":
		l.Bytes = codeRequestBytes
	case "UpdateFunctionConfiguration":
		l.Bytes = configRequestBytes
	}
	return l
}

func (s *Service) log() *slog.Logger {
	if s.options.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.options.Log
}

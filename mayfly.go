// Package mayfly is the vocabulary that every other package shares: functions and their versions, invocations and
// their results, limits, and the kinds of errors. It imports only the standard library, and nothing in it does work.
//
// The words are AWS Lambda's (function, version, alias, layer, init phase, cold start). Two are ours: an instance is one
// execution environment of one function version, a sandbox is what confines it.
package mayfly

import (
	"fmt"
	"time"
)

// Latest is the qualifier of the version that can still be changed.
const Latest = "$LATEST"

// FunctionID names a function: unique per account and region.
type FunctionID struct {
	Account string // twelve digits
	Region  string
	Name    string
}

// ARN returns the function's Amazon Resource Name, with the qualifier (version or alias) when it is not empty.
func (id FunctionID) ARN(qualifier string) string {
	arn := "arn:aws:lambda:" + id.Region + ":" + id.Account + ":function:" + id.Name
	if qualifier != "" {
		arn += ":" + qualifier
	}
	return arn
}

func (id FunctionID) String() string { return id.ARN("") }

// Function is what all versions of one function share.
type Function struct {
	ID        FunctionID
	Tags      map[string]string
	CreatedAt time.Time
	Reserved  *int // reserved concurrency: what it has for itself, and at most; nil is none, 0 turns it off
}

// Version is one version of a function: its configuration and code as recorded. Version "$LATEST" changes in place;
// a published one never does. A *Version that was handed out is immutable: the registry replaces, never edits.
type Version struct {
	ID      FunctionID
	Version string // "$LATEST" or a number from 1

	Description   string
	Runtime       string // "nodejs22.x"; empty for container images
	Handler       string
	Role          string // ARN of the execution role
	Timeout       time.Duration
	MemoryMB      int
	EphemeralMB   int // size of /tmp
	Environment   map[string]string
	Architectures []string // "x86_64" or "arm64"
	PackageType   string   // "Zip"
	Layers        []string
	TracingMode   string // "Active" or "PassThrough"
	DeadLetterARN string
	KMSKeyARN     string
	Logging       Logging
	Vpc           *VpcConfig
	SnapStart     string // "None" or "PublishedVersions"
	Egress        string // Mayfly's own: "", "none", "internet" or a comma-separated list of CIDRs; "" is the platform's setting

	Code CodeRef

	State                 State
	StateReason           string
	StateReasonCode       string
	LastUpdateStatus      UpdateStatus
	LastUpdateReason      string
	LastUpdateReasonCode  string
	LastModified          time.Time
	RevisionID            string // changes with every change
	RuntimeVersionARN     string
	RecursiveLoop         string // "Terminate" or "Allow"
	RuntimeManagementMode string // "Auto", "FunctionUpdate" or "Manual"
	RuntimeMappedFrom     string // set when a platform setting maps the asked-for runtime to a present one
}

// ARN returns the version's ARN; unqualified for $LATEST, as Lambda reports it.
func (v *Version) ARN() string {
	if v.Version == Latest {
		return v.ID.ARN("")
	}
	return v.ID.ARN(v.Version)
}

// Alias is a name for a version that can be moved to another. An *Alias that was handed out is immutable.
type Alias struct {
	Function    FunctionID
	Name        string
	Version     string // "$LATEST" or a number
	Description string
	Weights     map[string]float64 // share of the invocations, from 0 to below 1, that goes to another version
	RevisionID  string             // changes with every change
}

// Provisioned is the provisioned concurrency of a version, or of the version that an alias leads to.
type Provisioned struct {
	Function   FunctionID
	Qualifier  string // a version's number or an alias
	Executions int
	ModifiedAt time.Time
}

// LogGroup is the log group that the version's lines belong to: the configured one, or Lambda's default.
func (v *Version) LogGroup() string {
	if v.Logging.Group != "" {
		return v.Logging.Group
	}
	return "/aws/lambda/" + v.ID.Name
}

// Logging is a function's LoggingConfig.
type Logging struct {
	Format           string // "Text" or "JSON"
	ApplicationLevel string
	SystemLevel      string
	Group            string // defaults to /aws/lambda/NAME
}

// VpcConfig is stored and answered; Mayfly's network policy is Version.Egress.
type VpcConfig struct {
	SubnetIDs        []string
	SecurityGroupIDs []string
	IPv6Allowed      bool
}

// CodeRef points at a deployment package.
type CodeRef struct {
	Digest string // lower-case hex SHA-256 of the zip: its name in the blob store
	SHA256 string // the same digest in base64, as CodeSha256 shows it
	Size   int64  // bytes of the zip
}

// State is a version's State as Lambda defines it.
type State string

// The states of a version.
const (
	StatePending  State = "Pending"
	StateActive   State = "Active"
	StateInactive State = "Inactive"
	StateFailed   State = "Failed"
)

// UpdateStatus is a version's LastUpdateStatus.
type UpdateStatus string

// The outcomes of an update.
const (
	UpdateSuccessful UpdateStatus = "Successful"
	UpdateInProgress UpdateStatus = "InProgress"
	UpdateFailed     UpdateStatus = "Failed"
)

// URLConfig is a function URL.
type URLConfig struct {
	ID         string // the host label: ID.lambda-url.REGION.…
	Function   FunctionID
	Qualifier  string // alias name or ""
	AuthType   string // "NONE" or "AWS_IAM"
	InvokeMode string // "BUFFERED" or "RESPONSE_STREAM"
	CORS       *CORS
	CreatedAt  time.Time
	ModifiedAt time.Time
}

// CORS is a function URL's cross-origin policy.
type CORS struct {
	AllowCredentials bool
	AllowHeaders     []string
	AllowMethods     []string
	AllowOrigins     []string
	ExposeHeaders    []string
	MaxAge           *int // seconds
}

// Invocation is one request to run a function.
type Invocation struct {
	RequestID   string // UUID
	Version     *Version
	InvokedARN  string // as the caller named it, with its qualifier
	Payload     []byte
	TraceID     string // X-Amzn-Trace-Id
	ClientCtx   string // JSON, already base64-decoded
	CognitoID   string // JSON {"cognitoIdentityId": …, "cognitoIdentityPoolId": …}
	WantLogTail bool
	Source      string    // what called: "api", "url", …
	ReceivedAt  time.Time // when the front door had read the request
}

// Result is the answer to an Invocation that reached an instance. A function's own failure is a Result, not an error.
type Result struct {
	Payload         []byte
	FunctionError   string // "" or "Unhandled": the value of X-Amz-Function-Error
	ExecutedVersion string
	LogTail         []byte // last 4 KB of log, when asked for
	Phases          Phases
	Cold            bool
}

// Phases says where an invocation's time went.
type Phases struct {
	Queued  time.Duration // waiting for admission or for an instance to come free
	Sandbox time.Duration // making the sandbox
	Init    time.Duration // starting the runtime and loading the function (the init phase)
	Handler time.Duration // from handing over the event to the response
}

// Usage is what one invocation is charged for.
type Usage struct {
	RequestID   string
	Function    FunctionID
	Version     string
	At          time.Time     // when the invocation ended
	Duration    time.Duration // measured time of the invoke phase
	InitTime    time.Duration // measured time of the init phase; 0 when warm
	BilledMS    int64         // what is charged: invoke and init phase rounded up to 1 ms
	MemoryMB    int           // configured, which is what is charged
	MaxMemoryMB int           // highest seen
	StorageMB   int           // configured size of /tmp
	Cold        bool
	Status      string // "success", "error", "timeout"
	ErrorType   string
	Arch        string
	Phases      Phases
}

// Exit tells how an instance's process ended.
type Exit struct {
	Code      int    // exit status; meaningful when Signal is 0
	Signal    int    // signal number that ended it, or 0
	OOMKilled bool   // the memory limit was hit
	Err       error  // the sandbox itself failed
	SignalTxt string // "killed", "segmentation fault", …: as Go's syscall.Signal prints it
}

// String words an exit as Lambda's logs do: "exit status 1", "signal: killed".
func (e Exit) String() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != 0:
		return "signal: " + e.SignalTxt
	default:
		return fmt.Sprintf("exit status %d", e.Code)
	}
}

package function

import (
	"time"

	"mayfly"
)

// CreateInput is what a new function is made of. The registry stores the fields as they are: defaults (3 seconds,
// 128 MB, x86_64, …) and the constraints of the API's model are its caller's work.
type CreateInput struct {
	ID mayfly.FunctionID

	Description           string
	Runtime               string
	Handler               string
	Role                  string
	Timeout               time.Duration
	MemoryMB              int
	EphemeralMB           int
	Environment           map[string]string
	Architectures         []string
	PackageType           string
	Layers                []string
	TracingMode           string
	DeadLetterARN         string
	KMSKeyARN             string
	Logging               mayfly.Logging
	Vpc                   *mayfly.VpcConfig
	SnapStart             string
	Egress                string
	RuntimeVersionARN     string
	RecursiveLoop         string
	RuntimeManagementMode string
	RuntimeMappedFrom     string

	Zip     []byte            // the deployment package; not kept after Create returns
	Tags    map[string]string //
	Publish bool              // publish version 1 as well; Create then returns that version
}

// CodeInput replaces the code of $LATEST.
type CodeInput struct {
	Zip           []byte
	Architectures []string // nil: unchanged
	RevisionID    string   // "": no precondition
	Publish       bool     // publish a numbered version as well; UpdateCode then returns that version
	DryRun        bool     // check everything, change nothing; the answer is what the version would be
}

// ConfigInput changes the configuration of $LATEST. A nil pointer leaves a field as it is.
type ConfigInput struct {
	RevisionID string // "": no precondition

	Description       *string
	Runtime           *string
	Handler           *string
	Role              *string
	Timeout           *time.Duration
	MemoryMB          *int
	EphemeralMB       *int
	Environment       *map[string]string
	Layers            *[]string
	TracingMode       *string
	DeadLetterARN     *string // "" removes it
	KMSKeyARN         *string // "" removes it
	Logging           *mayfly.Logging
	Vpc               *mayfly.VpcConfig // without subnets and groups: removes it
	SnapStart         *string
	Egress            *string
	RuntimeVersionARN *string
	RuntimeMappedFrom *string
}

// URLInput is what a new function URL is made of.
type URLInput struct {
	Function   mayfly.FunctionID
	Qualifier  string // alias name; "" is the unqualified function
	AuthType   string // "NONE" or "AWS_IAM"
	InvokeMode string // "" is "BUFFERED"
	CORS       *mayfly.CORS
}

// URLUpdate changes a function URL. A nil pointer leaves a field as it is.
type URLUpdate struct {
	AuthType   *string
	InvokeMode *string
	CORS       *mayfly.CORS // replaces the whole policy; an empty one removes it
}

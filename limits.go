package mayfly

import "time"

// Limits are the bounds that Lambda documents (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
// They are enforced; DefaultLimits has Lambda's values.
type Limits struct {
	ConcurrentExecutions int // instances per account
	UnreservedMinimum    int // concurrency that can never be reserved away
	// RequestsPerConcurrency is how many requests per second each unit of concurrency allows; 0 is any number.
	RequestsPerConcurrency int
	RequestBytes           int64         // payload of a synchronous invocation
	ResponseBytes          int64         // response of a synchronous invocation
	ZipBytes               int64         // deployment package uploaded directly
	UnzippedBytes          int64         // deployment package and layers, unpacked
	CodeStorageBytes       int64         // all packages of an account
	EnvironmentBytes       int           // all environment variables of a function
	InitTimeout            time.Duration // init phase of an on-demand instance
	MemoryPerVCPU          int           // MB at which a function has the equivalent of one full vCPU
	OpenFiles              int           // file descriptors per instance
	Processes              int           // processes and threads per instance
}

// DefaultLimits returns Lambda's values.
func DefaultLimits() Limits {
	return Limits{
		ConcurrentExecutions:   1000,
		UnreservedMinimum:      100,
		RequestsPerConcurrency: 10,
		RequestBytes:           6 << 20,
		ResponseBytes:          6<<20 + 100, // interop.MaxPayloadSize of the runtime interface emulator; an error of Lambda names the same figure
		ZipBytes:               50 << 20,
		UnzippedBytes:          250 << 20,
		CodeStorageBytes:       75 << 30,
		EnvironmentBytes:       4 << 10,
		InitTimeout:            10 * time.Second,
		MemoryPerVCPU:          1769,
		OpenFiles:              1024,
		Processes:              1024,
	}
}

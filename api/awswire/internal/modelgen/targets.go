// Package modelgen turns the model of an AWS service into Go source: types_gen.go with the shapes that operations use, and
// service_gen.go and constraints_gen.go with the tables of operations, errors and constraints. The output holds data only; package awswire reads it.
package modelgen

// Target is one package to generate.
type Target struct {
	Package   string // folder and package name
	Model     string // file in models/
	Overrides map[string]Override
}

// Override replaces parts of a shape's constraints where the live service is known to check something else than its
// model says. Every entry tells why.
type Override struct {
	Max       *float64
	Unchecked bool // the enum is kept, for handlers to check
}

func limit(v float64) *float64 { return &v }

// Targets lists the packages that are generated.
func Targets() []Target {
	return []Target{
		{Package: "lambdaapi", Model: "lambda-2015-03-31.json", Overrides: map[string]Override{
			// 32,768 MB is for functions on capacity providers, which Mayfly does not have.
			"MemorySize": {Max: limit(10240)},
			// The model lost its maximum with durable functions; every other function still has it.
			"Timeout": {Max: limit(900)},
			// Lambda checks the runtime's name itself and answers InvalidParameterValueException with another text.
			"Runtime": {Unchecked: true},
		}},
		{Package: "iamapi", Model: "iam-2010-05-08.json"},
		{Package: "stsapi", Model: "sts-2011-06-15.json"},
	}
}

// Package bootstrap finds the interpreters of the machine, names them as Lambda names its runtimes, and says how a
// sandbox runs one: Mayfly's own Node.js and Python bootstraps, which speak the Runtime API and behave as AWS's official
// runtime interface clients do, or the function's own executable for the provided runtimes.
//
// Discovery runs an interpreter only when its binary has changed since it was last asked: what it said is kept under the
// data directory.
package bootstrap

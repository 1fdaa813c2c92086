//go:build !unix

// Package process is the driver that isolates nothing; it needs a Unix.
package process

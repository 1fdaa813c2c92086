//go:build !linux

package main

import "context"

// isolationFindings says that there is no isolation to look at.
func isolationFindings(context.Context) []finding {
	return []finding{{
		Check: "isolation", Status: statusWarn, Detail: "the native sandbox needs Linux",
		Fix: "`mayfly serve --isolation=none` runs functions as plain processes, for development only",
	}}
}

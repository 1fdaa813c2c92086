//go:build !linux

package function

// bootID is not known here: unpacked packages are made anew after each start.
func bootID() string { return "" }

//go:build !linux

package conformance

// tablesNamed lists the nftables tables with a name, which only Linux has.
func tablesNamed(string) []string { return nil }

package conformance

import "github.com/google/nftables"

// tablesNamed lists the nftables tables with a name.
func tablesNamed(name string) (found []string) {
	conn, err := nftables.New()
	if err != nil {
		return nil
	}
	tables, err := conn.ListTables()
	if err != nil {
		return nil // a kernel without nftables has no tables
	}
	for _, table := range tables {
		if table.Name == name {
			found = append(found, table.Name)
		}
	}
	return found
}

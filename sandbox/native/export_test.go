//go:build linux

package native

// IDs is the range of host user ids that the driver's sandboxes come from.
func (d *Driver) IDs() (first, last uint32) {
	return d.ids.base, d.ids.base + (d.ids.total*UIDsPerSandbox - 1)
}

// Group is the name of the driver's parent control group.
func (d *Driver) Group() string { return d.opts.group() }

// Spawner is the process id of the spawner.
func (d *Driver) Spawner() int { return d.current.cmd.Process.Pid }

// Links begins the names of the driver's links.
func (d *Driver) Links() string { return d.net.name }

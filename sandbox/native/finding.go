package native

// Finding is one thing that Check looked at.
type Finding struct {
	Name string // "kernel", "control groups", …
	OK   bool
	Text string // what was found
	Fix  string // what to do when not OK
}

//go:build !linux

package egress

import (
	"context"
	"net/netip"
	"os"
)

// Manager does not exist outside Linux: New always fails.
type Manager struct{}

// Lease does not exist outside Linux.
type Lease struct{}

// New fails with ErrUnsupported.
func New(Options) (*Manager, error) { return nil, ErrUnsupported }

// Attach fails with ErrUnsupported.
func (m *Manager) Attach(context.Context, string, *os.File, Policy) (*Lease, error) {
	return nil, ErrUnsupported
}

// Sweep does nothing.
func (m *Manager) Sweep() (int, error) { return 0, nil }

// Conflicts fails with ErrUnsupported.
func (m *Manager) Conflicts() ([]string, error) { return nil, ErrUnsupported }

// Close does nothing.
func (m *Manager) Close() error { return nil }

// Addr is invalid.
func (l *Lease) Addr() netip.Addr { return netip.Addr{} }

// Link is empty.
func (l *Lease) Link() string { return "" }

// Close does nothing.
func (l *Lease) Close() error { return nil }

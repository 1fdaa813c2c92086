//go:build !linux

package cgroup

import (
	"context"
	"syscall"
)

// Manager does not exist outside Linux: Open always fails.
type Manager struct{}

// Group does not exist outside Linux.
type Group struct{}

// Open fails with ErrUnsupported: control groups are a part of Linux.
func Open(Options) (*Manager, error) { return nil, ErrUnsupported }

// Version is 0.
func (m *Manager) Version() int { return 0 }

// Create fails with ErrUnsupported.
func (m *Manager) Create(string) (*Group, error) { return nil, ErrUnsupported }

// Group returns an empty group, whose methods fail.
func (m *Manager) Group(string) *Group { return &Group{} }

// List is empty.
func (m *Manager) List() []string { return nil }

// Close does nothing.
func (m *Manager) Close() error { return nil }

// ID is empty.
func (g *Group) ID() string { return "" }

// Add fails with ErrUnsupported.
func (g *Group) Add(int) error { return ErrUnsupported }

// FD has none.
func (g *Group) FD() (int, bool) { return -1, false }

// Spawn fails with ErrUnsupported.
func (g *Group) Spawn(*syscall.SysProcAttr, func() error) error { return ErrUnsupported }

// SetMemory fails with ErrUnsupported.
func (g *Group) SetMemory(int64) error { return ErrUnsupported }

// SetCPU fails with ErrUnsupported.
func (g *Group) SetCPU(int) error { return ErrUnsupported }

// SetPIDs fails with ErrUnsupported.
func (g *Group) SetPIDs(int) error { return ErrUnsupported }

// Stats fails with ErrUnsupported.
func (g *Group) Stats() (Stats, error) { return Stats{}, ErrUnsupported }

// PeakMemory fails with ErrUnsupported.
func (g *Group) PeakMemory() (int64, error) { return 0, ErrUnsupported }

// ResetPeak fails with ErrUnsupported.
func (g *Group) ResetPeak() error { return ErrUnsupported }

// Processes fails with ErrUnsupported.
func (g *Group) Processes() ([]int, error) { return nil, ErrUnsupported }

// Kill fails with ErrUnsupported.
func (g *Group) Kill() error { return ErrUnsupported }

// Freeze fails with ErrUnsupported.
func (g *Group) Freeze(context.Context) error { return ErrUnsupported }

// Thaw fails with ErrUnsupported.
func (g *Group) Thaw() error { return ErrUnsupported }

// Destroy fails with ErrUnsupported.
func (g *Group) Destroy(context.Context) error { return ErrUnsupported }

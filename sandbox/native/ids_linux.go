package native

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"mayfly"
)

// The user ids of sandboxes come from slots in the upper half of the id space, one slot for each server on the machine.
const (
	slotDir   = "/run/mayfly-uids"
	slotBase  = 1 << 31
	slotSize  = 1 << 27
	slotCount = 15 // the last would end in the id that means "none"
)

// ids hands out user id ranges. A range is not given out again before all others have been, so that whatever a dead
// sandbox may have left stays foreign to new ones for as long as possible.
type ids struct {
	base  uint32
	total uint32
	lock  *os.File // of the slot; nil for a base that was set

	mu   sync.Mutex
	next uint32
	live map[uint32]bool
}

func openIDs(base uint32) (*ids, error) {
	if base != 0 {
		if base < UIDsPerSandbox {
			return nil, mayfly.Errorf(mayfly.KindInvalid, "user id base %d would cover the host's own users; choose one above 100000", base)
		}
		return &ids{base: base, total: min((^uint32(0)-base)/UIDsPerSandbox, slotSize/UIDsPerSandbox), live: map[uint32]bool{}}, nil
	}
	if err := os.MkdirAll(slotDir, 0o700); err != nil {
		return nil, fmt.Errorf("user ids: %w", err)
	}
	for i := range slotCount {
		f, err := os.OpenFile(filepath.Join(slotDir, fmt.Sprintf("slot-%d", i)), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("user ids: %w", err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return &ids{base: uint32(slotBase + i*slotSize), total: slotSize / UIDsPerSandbox, lock: f, live: map[uint32]bool{}}, nil
		}
		f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("user ids: lock %s: %w", f.Name(), err)
		}
	}
	return nil, mayfly.Errorf(mayfly.KindUnavailable, "%d other servers on this machine hold all user id slots (%s); set a user id base for this one", slotCount, slotDir)
}

// take returns the first id of a range that no live sandbox has.
func (s *ids) take() (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.total {
		n := s.next
		s.next = (s.next + 1) % s.total
		if !s.live[n] {
			s.live[n] = true
			return s.base + n*UIDsPerSandbox, nil
		}
	}
	return 0, mayfly.Errorf(mayfly.KindUnavailable, "all %d user id ranges are in use", s.total)
}

func (s *ids) give(base uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, (base-s.base)/UIDsPerSandbox)
}

func (s *ids) close() {
	if s.lock != nil {
		s.lock.Close()
	}
}

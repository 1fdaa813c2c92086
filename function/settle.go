package function

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"mayfly"
	"mayfly/blob"
	"mayfly/store"
)

// settle brings the versions of a function that are Pending or InProgress to where they are going: Active and Successful,
// or Failed when their package cannot be unpacked. An error of the store or the disk is not the package's: it is tried again
// until Close, and after that by the next Open.
func (r *Registry) settle(id mayfly.FunctionID) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := r.trySettle(id)
		if err == nil {
			return
		}
		r.o.Log.Error("a function cannot become active; trying again", "function", id.Name, "after", wait, "error", err)
		select {
		case <-time.After(wait):
		case <-r.closing:
			return
		}
	}
}

func (r *Registry) trySettle(id mayfly.FunctionID) error {
	rec := r.records.get(id)
	if rec == nil {
		return nil
	}
	// Unpacking takes long, so it is done before the lock. A change can come between, but none that leaves the version as
	// it is: an update is refused while it is unsettled, a deletion makes it another.
	failed := make(map[string]error) // by RevisionID
	var retry error
	rec.all(func(v *mayfly.Version) {
		if settled(v) {
			return
		}
		_, err := r.code.folder(v.Code.Digest)
		switch {
		case err == nil:
		case mayfly.KindOf(err) == mayfly.KindInvalid, errors.Is(err, blob.ErrCorrupt), errors.Is(err, blob.ErrNotFound), errors.Is(err, fs.ErrNotExist):
			failed[v.RevisionID] = err
		default:
			retry = err
		}
	})
	if retry != nil {
		return retry
	}
	var changed []*mayfly.Version
	err := r.change(context.Background(), id, func(old *record) (edit, error) {
		if old == nil {
			return edit{}, errNothingToDo
		}
		now := old.clone()
		changed = changed[:0]
		old.all(func(v *mayfly.Version) {
			if before := rec.version(v.Version); settled(v) || before == nil || before.RevisionID != v.RevisionID {
				return
			}
			v = arrived(v, failed[v.RevisionID])
			changed = append(changed, v)
			if v.Version == mayfly.Latest {
				now.latest = v
			} else {
				now.versions[v.Version] = v
			}
		})
		if len(changed) == 0 {
			return edit{}, errNothingToDo
		}
		return edit{now: now, persist: func(tx *store.Tx) error {
			for _, v := range changed {
				if err := putVersion(tx, v); err != nil {
					return err
				}
			}
			return nil
		}}, nil
	})
	if errors.Is(err, errNothingToDo) || errors.Is(err, store.ErrClosed) {
		return nil // deleted, or changed by another; or for the next process
	}
	if err == nil && len(failed) > 0 {
		r.changed(id)
	}
	return err
}

var errNothingToDo = errors.New("function: nothing to do")

// arrived returns the version as it is at the end of its way. RevisionID stays: nothing that a caller set has changed, so
// instances of the version remain good and a caller's precondition holds.
func arrived(old *mayfly.Version, failure error) *mayfly.Version {
	v := *old
	if failure != nil {
		const code = "InvalidZipFileException"
		if v.State == mayfly.StatePending {
			v.State, v.StateReason, v.StateReasonCode = mayfly.StateFailed, failure.Error(), code
		}
		if v.LastUpdateStatus == mayfly.UpdateInProgress {
			v.LastUpdateStatus, v.LastUpdateReason, v.LastUpdateReasonCode = mayfly.UpdateFailed, failure.Error(), code
		}
		return &v
	}
	v.State, v.StateReason, v.StateReasonCode = mayfly.StateActive, "", ""
	v.LastUpdateStatus, v.LastUpdateReason, v.LastUpdateReasonCode = mayfly.UpdateSuccessful, "", ""
	return &v
}

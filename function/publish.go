package function

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"mayfly"
	"mayfly/store"
)

// PublishInput says what a new version must be made from.
type PublishInput struct {
	CodeSHA256  string  // in base64, of $LATEST's package; "": no precondition
	RevisionID  string  // of $LATEST; "": no precondition
	Description *string // nil: $LATEST's
}

// Publish makes a numbered version, which never changes, from $LATEST. When neither code nor configuration have changed since
// the last one was published, it returns that one.
func (r *Registry) Publish(ctx context.Context, id mayfly.FunctionID, in PublishInput) (v *mayfly.Version, err error) {
	if r.isClosed() {
		return nil, errClosed()
	}
	err = r.change(ctx, id, func(old *record) (edit, error) {
		if err := updatable(id, old, in.RevisionID); err != nil {
			return edit{}, err
		}
		latest := old.latest
		switch {
		case in.CodeSHA256 != "" && in.CodeSHA256 != latest.Code.SHA256:
			return edit{}, invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.",
				in.CodeSHA256, latest.Code.SHA256)
		case latest.State == mayfly.StateFailed:
			return edit{}, mayfly.Errorf(mayfly.KindConflict,
				"The operation cannot be performed at this time. The function is currently in the following state: Failed")
		}
		rec := old.clone()
		if v = rec.publish(); v == old.versions[v.Version] {
			return edit{}, errNothingToDo
		}
		set(&v.Description, in.Description)
		if err := r.fits(old, rec); err != nil {
			return edit{}, err
		}
		return edit{now: rec, persist: func(tx *store.Tx) error {
			if err := putFunction(tx, rec); err != nil {
				return err
			}
			return putVersion(tx, v)
		}}, nil
	})
	if errors.Is(err, errNothingToDo) {
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	r.changed(id)
	return v, nil
}

// publish copies $LATEST to the next number, or returns the last version when $LATEST is still the same. The record is the
// caller's own, not yet shown to anybody.
func (rec *record) publish() *mayfly.Version {
	if last := rec.versions[strconv.FormatInt(rec.next-1, 10)]; last != nil && unchanged(rec.latest, last) {
		return last
	}
	v := *rec.latest
	v.Version = strconv.FormatInt(rec.next, 10)
	v.RevisionID = uuid.NewString()
	rec.next++
	rec.versions[v.Version] = &v
	return &v
}

// unchanged tells whether a version has the code and configuration that $LATEST has. A version can be given a description
// of its own when it is published, so descriptions count only when $LATEST has been updated since.
func unchanged(latest, last *mayfly.Version) bool {
	content := func(v *mayfly.Version) mayfly.Version {
		c := *v
		c.Version, c.RevisionID, c.Description = "", "", ""
		c.State, c.StateReason, c.StateReasonCode = "", "", ""
		c.LastUpdateStatus, c.LastUpdateReason, c.LastUpdateReasonCode = "", "", ""
		c.LastModified = time.Time{}
		c.RuntimeVersionARN = ""
		// Empty and absent are the same.
		c.Environment, c.Layers = maps.Clone(c.Environment), slices.Clone(c.Layers)
		if len(c.Environment) == 0 {
			c.Environment = nil
		}
		if len(c.Layers) == 0 {
			c.Layers = nil
		}
		return c
	}
	return (latest.LastModified.Equal(last.LastModified) || latest.Description == last.Description) &&
		reflect.DeepEqual(content(latest), content(last))
}

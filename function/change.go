package function

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"mayfly"
	"mayfly/store"
)

const (
	reasonCreating = "The function is being created."
	codeCreating   = "Creating"
	maxTags        = 50
)

// edit is what a change makes of a record: the new one (nil: deleted), how to write the difference, and the URLs that are
// new or, nil, gone.
type edit struct {
	now     *record
	persist func(tx *store.Tx) error
	urls    map[string]*mayfly.URLConfig // by host label
}

// change lets fn work out an edit of id's record (nil: there is none), commits it, and then shows it to readers. fn runs
// under the shard's lock and must not wait for anything.
func (r *Registry) change(ctx context.Context, id mayfly.FunctionID, fn func(old *record) (edit, error)) error {
	s := r.records.of(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := r.records.get(id)
	e, err := fn(old)
	if err != nil {
		return err
	}
	if err := r.o.DB.Update(ctx, e.persist); err != nil {
		return err
	}
	s.put(id, e.now)
	r.usage.replace(id, old, e.now)
	r.showURLs(e.urls)
	return nil
}

// Create makes a function from a deployment package. The answer is Pending; Active follows by itself.
func (r *Registry) Create(ctx context.Context, in CreateInput) (*mayfly.Version, error) {
	if r.isClosed() {
		return nil, errClosed()
	}
	if r.records.get(in.ID) != nil {
		return nil, errExists(in.ID.Name)
	}
	if len(in.Tags) > maxTags {
		return nil, invalid("Number of tags exceeds resource tag limit.")
	}
	code, release, err := r.code.stage(ctx, in.Zip, "CreateFunction")
	if err != nil {
		return nil, err
	}
	defer release()
	now := r.now()
	v := in.version()
	v.Code, v.LastModified, v.RevisionID = code, now, uuid.NewString()
	v.State, v.StateReason, v.StateReasonCode = mayfly.StatePending, reasonCreating, codeCreating
	v.LastUpdateStatus = mayfly.UpdateSuccessful

	answer := v
	err = r.change(ctx, in.ID, func(old *record) (edit, error) {
		if old != nil {
			return edit{}, errExists(in.ID.Name)
		}
		rec := &record{
			fn:       &mayfly.Function{ID: in.ID, Tags: maps.Clone(in.Tags), CreatedAt: now},
			next:     1,
			latest:   v,
			versions: map[string]*mayfly.Version{},
			aliases:  map[string]*mayfly.Alias{},
			urls:     map[string]*mayfly.URLConfig{},

			provisioned: map[string]*mayfly.Provisioned{},
		}
		if rec.fn.Tags == nil {
			rec.fn.Tags = map[string]string{}
		}
		if in.Publish {
			answer = rec.publish()
		}
		if r.usage.get(in.ID.Account, in.ID.Region).bytes+rec.codeBytes() > r.o.Limits.CodeStorageBytes {
			return edit{}, errStorage()
		}
		return edit{now: rec, persist: func(tx *store.Tx) error { return putAll(tx, rec) }}, nil
	})
	if err != nil {
		return nil, err
	}
	r.changed(in.ID)
	r.background(func() { r.settle(in.ID) })
	return answer, nil
}

func (in CreateInput) version() *mayfly.Version {
	v := &mayfly.Version{
		ID: in.ID, Version: mayfly.Latest,
		Description: in.Description, Runtime: in.Runtime, Handler: in.Handler, Role: in.Role, Timeout: in.Timeout,
		MemoryMB: in.MemoryMB, EphemeralMB: in.EphemeralMB, Environment: maps.Clone(in.Environment),
		Architectures: slices.Clone(in.Architectures), PackageType: in.PackageType, Layers: slices.Clone(in.Layers),
		TracingMode: in.TracingMode, DeadLetterARN: in.DeadLetterARN, KMSKeyARN: in.KMSKeyARN, Logging: in.Logging,
		Vpc: cloneVpc(in.Vpc), SnapStart: in.SnapStart, Egress: in.Egress, RuntimeVersionARN: in.RuntimeVersionARN,
		RecursiveLoop: in.RecursiveLoop, RuntimeManagementMode: in.RuntimeManagementMode, RuntimeMappedFrom: in.RuntimeMappedFrom,
	}
	return v
}

// cloneVpc also drops a configuration that is empty, which is how a function leaves its VPC.
func cloneVpc(in *mayfly.VpcConfig) *mayfly.VpcConfig {
	if in == nil || len(in.SubnetIDs)+len(in.SecurityGroupIDs) == 0 {
		return nil
	}
	return &mayfly.VpcConfig{SubnetIDs: slices.Clone(in.SubnetIDs), SecurityGroupIDs: slices.Clone(in.SecurityGroupIDs), IPv6Allowed: in.IPv6Allowed}
}

func putAll(tx *store.Tx, rec *record) (err error) {
	if err := putFunction(tx, rec); err != nil {
		return err
	}
	rec.all(func(v *mayfly.Version) {
		if err == nil {
			err = putVersion(tx, v)
		}
	})
	return err
}

// updatable checks what every update of $LATEST asks for first.
func updatable(id mayfly.FunctionID, rec *record, revision string) error {
	switch {
	case rec == nil:
		return errFunctionNotFound(id.ARN(""))
	case revision != "" && revision != rec.latest.RevisionID:
		return errRevision()
	case !settled(rec.latest):
		return errBusy(rec.latest)
	}
	return nil
}

// updated returns a copy of $LATEST that is on its way.
func (r *Registry) updated(old *mayfly.Version) *mayfly.Version {
	v := *old
	v.LastModified, v.RevisionID = r.now(), uuid.NewString()
	v.LastUpdateStatus, v.LastUpdateReason, v.LastUpdateReasonCode = mayfly.UpdateInProgress, reasonCreating, codeCreating
	return &v
}

// UpdateCode replaces the code of $LATEST. The answer is InProgress; Successful follows by itself. Invocations run the new
// code from then on.
func (r *Registry) UpdateCode(ctx context.Context, id mayfly.FunctionID, in CodeInput) (*mayfly.Version, error) {
	if r.isClosed() {
		return nil, errClosed()
	}
	rec := r.records.get(id)
	if err := updatable(id, rec, in.RevisionID); err != nil {
		return nil, err
	}
	if in.DryRun {
		return r.tryCode(rec, in)
	}
	code, release, err := r.code.stage(ctx, in.Zip, "UpdateFunctionCode")
	if err != nil {
		return nil, err
	}
	defer release()
	var answer *mayfly.Version
	err = r.change(ctx, id, func(old *record) (edit, error) {
		if err := updatable(id, old, in.RevisionID); err != nil {
			return edit{}, err
		}
		rec := old.clone()
		rec.latest = r.updated(old.latest)
		rec.latest.Code = code
		if in.Architectures != nil {
			rec.latest.Architectures = slices.Clone(in.Architectures)
		}
		answer = rec.latest
		if in.Publish {
			answer = rec.publish()
		}
		if err := r.fits(old, rec); err != nil {
			return edit{}, err
		}
		return edit{now: rec, persist: func(tx *store.Tx) error {
			if err := putFunction(tx, rec); err != nil {
				return err
			}
			if in.Publish {
				if err := putVersion(tx, answer); err != nil {
					return err
				}
			}
			return putVersion(tx, rec.latest)
		}}, nil
	})
	if err != nil {
		return nil, err
	}
	r.changed(id)
	r.background(func() { r.settle(id) })
	return answer, nil
}

// fits checks the quota on code storage. Updates that go on at the same time can together pass it by their own size.
func (r *Registry) fits(old, now *record) error {
	id := now.fn.ID
	more := now.codeBytes() - old.codeBytes()
	if more > 0 && r.usage.get(id.Account, id.Region).bytes+more > r.o.Limits.CodeStorageBytes {
		return errStorage()
	}
	return nil
}

// tryCode is UpdateCode with DryRun.
func (r *Registry) tryCode(rec *record, in CodeInput) (*mayfly.Version, error) {
	p, err := readPackage(in.Zip, r.o.Limits, "UpdateFunctionCode")
	if err != nil {
		return nil, err
	}
	if err := p.verify(); err != nil {
		return nil, err
	}
	v := *rec.latest
	v.Code = digestOf(in.Zip)
	if in.Architectures != nil {
		v.Architectures = slices.Clone(in.Architectures)
	}
	return &v, nil
}

// UpdateConfig changes the configuration of $LATEST. The answer is InProgress; Successful follows by itself. Invocations
// see the new configuration from then on.
func (r *Registry) UpdateConfig(ctx context.Context, id mayfly.FunctionID, in ConfigInput) (*mayfly.Version, error) {
	if r.isClosed() {
		return nil, errClosed()
	}
	var answer *mayfly.Version
	err := r.change(ctx, id, func(old *record) (edit, error) {
		if err := updatable(id, old, in.RevisionID); err != nil {
			return edit{}, err
		}
		rec := old.clone()
		rec.latest = r.updated(old.latest)
		in.apply(rec.latest)
		answer = rec.latest
		return edit{now: rec, persist: func(tx *store.Tx) error { return putVersion(tx, rec.latest) }}, nil
	})
	if err != nil {
		return nil, err
	}
	r.changed(id)
	r.background(func() { r.settle(id) })
	return answer, nil
}

func (in ConfigInput) apply(v *mayfly.Version) {
	set(&v.Description, in.Description)
	set(&v.Runtime, in.Runtime)
	set(&v.Handler, in.Handler)
	set(&v.Role, in.Role)
	set(&v.Timeout, in.Timeout)
	set(&v.MemoryMB, in.MemoryMB)
	set(&v.EphemeralMB, in.EphemeralMB)
	if in.Environment != nil {
		v.Environment = maps.Clone(*in.Environment)
	}
	if in.Layers != nil {
		v.Layers = slices.Clone(*in.Layers)
	}
	set(&v.TracingMode, in.TracingMode)
	set(&v.DeadLetterARN, in.DeadLetterARN)
	set(&v.KMSKeyARN, in.KMSKeyARN)
	set(&v.Logging, in.Logging)
	if in.Vpc != nil {
		v.Vpc = cloneVpc(in.Vpc)
	}
	set(&v.SnapStart, in.SnapStart)
	set(&v.Egress, in.Egress)
	set(&v.RuntimeVersionARN, in.RuntimeVersionARN)
	set(&v.RuntimeMappedFrom, in.RuntimeMappedFrom)
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// Delete removes a function with all that belongs to it (qualifier ""), or one published version. Deleting a version that
// is not there is not an error; deleting a function that is not there is KindNotFound.
func (r *Registry) Delete(ctx context.Context, id mayfly.FunctionID, qualifier string) error {
	if r.isClosed() {
		return errClosed()
	}
	if qualifier != "" {
		return r.deleteVersion(ctx, id, qualifier)
	}
	err := r.change(ctx, id, func(old *record) (edit, error) {
		if old == nil {
			return edit{}, errFunctionNotFound(id.ARN(""))
		}
		gone := make(map[string]*mayfly.URLConfig)
		for _, u := range old.urls {
			gone[u.ID] = nil
		}
		return edit{persist: func(tx *store.Tx) error { return deleteFunction(tx, id) }, urls: gone}, nil
	})
	if err == nil {
		r.changed(id)
	}
	return err
}

func (r *Registry) deleteVersion(ctx context.Context, id mayfly.FunctionID, qualifier string) error {
	if qualifier == mayfly.Latest {
		return invalid("$LATEST version cannot be deleted without deleting the function.")
	}
	if _, err := strconv.ParseUint(qualifier, 10, 63); err != nil {
		return invalid("Deletion of aliases is not currently supported.")
	}
	err := r.change(ctx, id, func(old *record) (edit, error) {
		if old == nil {
			return edit{}, errFunctionNotFound(id.ARN(""))
		}
		if names := old.pointing(qualifier); len(names) > 0 {
			return edit{}, mayfly.Errorf(mayfly.KindConflict, "Unable to delete version because the following aliases reference it: [%s]", strings.Join(names, ", "))
		}
		v := old.versions[qualifier]
		rec := old.clone()
		delete(rec.versions, qualifier)
		delete(rec.provisioned, qualifier)
		return edit{now: rec, persist: func(tx *store.Tx) error {
			if v == nil {
				return nil
			}
			if err := deleteProvisioned(tx, id, qualifier); err != nil {
				return err
			}
			return deleteVersion(tx, v)
		}}, nil
	})
	if err == nil {
		r.changed(id)
	}
	return err
}

// SetTags adds or replaces tags, then removes the named keys.
func (r *Registry) SetTags(ctx context.Context, id mayfly.FunctionID, add map[string]string, remove []string) error {
	if r.isClosed() {
		return errClosed()
	}
	return r.change(ctx, id, func(old *record) (edit, error) {
		if old == nil {
			return edit{}, errFunctionNotFound(id.ARN(""))
		}
		fn := *old.fn
		fn.Tags = make(map[string]string, len(old.fn.Tags)+len(add))
		maps.Copy(fn.Tags, old.fn.Tags)
		maps.Copy(fn.Tags, add)
		for _, key := range remove {
			delete(fn.Tags, key)
		}
		if len(fn.Tags) > maxTags {
			return edit{}, invalid("Number of tags exceeds resource tag limit.")
		}
		rec := old.clone()
		rec.fn = &fn
		return edit{now: rec, persist: func(tx *store.Tx) error { return putFunction(tx, rec) }}, nil
	})
}

package function

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"mayfly"
	"mayfly/store"
)

// AliasInput is what a new alias is made of.
type AliasInput struct {
	Function    mayfly.FunctionID
	Name        string
	Version     string // "$LATEST" or a number
	Description string
	Weights     map[string]float64 // of other versions; at most one
}

// AliasUpdate changes an alias. A nil pointer leaves a field as it is.
type AliasUpdate struct {
	RevisionID  string // "": no precondition
	Version     *string
	Description *string
	Weights     *map[string]float64 // replaces all; empty removes them
}

func errAliasNotFound(arn string) *mayfly.Error {
	return mayfly.Errorf(mayfly.KindNotFound, "Cannot find alias arn: %s", arn)
}

// CreateAlias names a version. Fails with KindConflict when the name is taken.
func (r *Registry) CreateAlias(ctx context.Context, in AliasInput) (*mayfly.Alias, error) {
	a := &mayfly.Alias{Function: in.Function, Name: in.Name, Version: in.Version, Description: in.Description, Weights: maps.Clone(in.Weights)}
	return r.changeAlias(ctx, in.Function, func(old *record) (*mayfly.Alias, error) {
		if err := old.checkRouting(a); err != nil {
			return nil, err
		}
		if old.aliases[in.Name] != nil {
			return nil, mayfly.Errorf(mayfly.KindConflict, "Alias already exists: %s", in.Function.ARN(in.Name))
		}
		return a, nil
	})
}

// UpdateAlias moves an alias or changes its description. Invocations follow it from then on.
func (r *Registry) UpdateAlias(ctx context.Context, id mayfly.FunctionID, name string, in AliasUpdate) (*mayfly.Alias, error) {
	return r.changeAlias(ctx, id, func(old *record) (*mayfly.Alias, error) {
		before := old.aliases[name]
		switch {
		case before == nil:
			return nil, mayfly.Errorf(mayfly.KindNotFound, "Alias not found: %s", id.ARN(name))
		case in.RevisionID != "" && in.RevisionID != before.RevisionID:
			return nil, errRevision()
		}
		a := *before
		set(&a.Version, in.Version)
		set(&a.Description, in.Description)
		if in.Weights != nil {
			a.Weights = maps.Clone(*in.Weights)
		}
		return &a, old.checkRouting(&a)
	})
}

// changeAlias commits the alias that fn makes.
func (r *Registry) changeAlias(ctx context.Context, id mayfly.FunctionID, fn func(old *record) (*mayfly.Alias, error)) (a *mayfly.Alias, err error) {
	if r.isClosed() {
		return nil, errClosed()
	}
	err = r.change(ctx, id, func(old *record) (edit, error) {
		if old == nil {
			return edit{}, errFunctionNotFound(id.ARN(""))
		}
		if a, err = fn(old); err != nil {
			return edit{}, err
		}
		a.RevisionID = uuid.NewString()
		rec := old.clone()
		rec.aliases[a.Name] = a
		return edit{now: rec, persist: func(tx *store.Tx) error { return putAlias(tx, a) }}, nil
	})
	if err != nil {
		return nil, err
	}
	r.changed(id)
	return a, nil
}

// checkRouting checks that an alias leads to versions that are there, and divides invocations in a way that can be done.
func (r *record) checkRouting(a *mayfly.Alias) error {
	if v := r.numbered(a.Version); v == nil {
		return errFunctionNotFound(a.Function.ARN(a.Version))
	}
	if len(a.Weights) > 1 {
		return invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	for version, weight := range a.Weights {
		_, err := strconv.ParseUint(version, 10, 63)
		switch {
		case math.IsNaN(weight) || weight < 0 || weight >= 1:
			return invalid("The weight of version %s must be at least 0 and less than 1.", version)
		case version == a.Version:
			return invalid("Invalid function version %s. Function version %s is already included in routing configuration.", version, version)
		case a.Version == mayfly.Latest || err != nil:
			return invalid("$LATEST is not supported for an alias pointing to more than 1 version")
		case r.versions[version] == nil:
			return errFunctionNotFound(a.Function.ARN(version))
		}
	}
	return nil
}

// DeleteAlias removes an alias with its URL and its provisioned concurrency. One that is not there is not an error.
func (r *Registry) DeleteAlias(ctx context.Context, id mayfly.FunctionID, name string) error {
	if r.isClosed() {
		return errClosed()
	}
	err := r.change(ctx, id, func(old *record) (edit, error) {
		if old == nil {
			return edit{}, errFunctionNotFound(id.ARN(""))
		}
		rec := old.clone()
		delete(rec.aliases, name)
		delete(rec.provisioned, name)
		gone := make(map[string]*mayfly.URLConfig)
		u := rec.urls[name]
		if u != nil {
			delete(rec.urls, name)
			gone[u.ID] = nil
		}
		return edit{now: rec, urls: gone, persist: func(tx *store.Tx) error {
			if u != nil {
				if err := deleteURL(tx, u.ID); err != nil {
					return err
				}
			}
			if err := deleteProvisioned(tx, id, name); err != nil {
				return err
			}
			return deleteAlias(tx, id, name)
		}}, nil
	})
	if err == nil {
		r.changed(id)
	}
	return err
}

// GetAlias returns an alias. Fails with KindNotFound.
func (r *Registry) GetAlias(id mayfly.FunctionID, name string) (*mayfly.Alias, error) {
	rec := r.records.get(id)
	if rec == nil {
		return nil, errFunctionNotFound(id.ARN(""))
	}
	if a := rec.aliases[name]; a != nil {
		return a, nil
	}
	return nil, errAliasNotFound(id.ARN(name))
}

// ListAliases returns up to max aliases of a function, by name, that come after the given one; version, unless "", keeps
// those that lead to it. next is what to pass as after for the following page, "" at the end.
func (r *Registry) ListAliases(id mayfly.FunctionID, version, after string, max int) (as []*mayfly.Alias, next string, err error) {
	rec := r.records.get(id)
	if rec == nil {
		return nil, "", errFunctionNotFound(id.ARN(""))
	}
	for _, a := range rec.aliases {
		_, also := a.Weights[version]
		if a.Name > after && (version == "" || a.Version == version || also) {
			as = append(as, a)
		}
	}
	slices.SortFunc(as, func(a, b *mayfly.Alias) int { return cmp.Compare(a.Name, b.Name) })
	if max > 0 && len(as) > max {
		as = as[:max]
		next = as[max-1].Name
	}
	return as, next, nil
}

package function

import (
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"slices"

	"mayfly"
	"mayfly/store"
)

func errNoSuchFunction() *mayfly.Error {
	return mayfly.Errorf(mayfly.KindNotFound, "Function does not exist")
}

func errNoSuchURL() *mayfly.Error {
	return mayfly.Errorf(mayfly.KindNotFound, "The resource you requested does not exist.")
}

// CreateURL gives a function (or an alias of it) a URL. One each; fails with KindConflict when it has one.
func (r *Registry) CreateURL(ctx context.Context, in URLInput) (*mayfly.URLConfig, error) {
	if r.isClosed() {
		return nil, errClosed()
	}
	now := r.now()
	u := &mayfly.URLConfig{
		ID: newURLID(), Function: in.Function, Qualifier: in.Qualifier, AuthType: in.AuthType,
		InvokeMode: cmp.Or(in.InvokeMode, "BUFFERED"), CORS: cloneCORS(in.CORS), CreatedAt: now, ModifiedAt: now,
	}
	err := r.change(ctx, in.Function, func(old *record) (edit, error) {
		switch {
		case old == nil, in.Qualifier != "" && old.aliases[in.Qualifier] == nil:
			return edit{}, errNoSuchFunction()
		case old.urls[in.Qualifier] != nil:
			return edit{}, mayfly.Errorf(mayfly.KindConflict, "Failed to create function url config for [functionArn = %s]. Error message:  FunctionUrlConfig exists for this Lambda function", in.Function.ARN(in.Qualifier))
		}
		rec := old.clone()
		rec.urls[in.Qualifier] = u
		return edit{now: rec, persist: func(tx *store.Tx) error { return putURL(tx, u) }, urls: map[string]*mayfly.URLConfig{u.ID: u}}, nil
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// UpdateURL changes a function URL.
func (r *Registry) UpdateURL(ctx context.Context, id mayfly.FunctionID, qualifier string, in URLUpdate) (*mayfly.URLConfig, error) {
	if r.isClosed() {
		return nil, errClosed()
	}
	var u mayfly.URLConfig
	err := r.change(ctx, id, func(old *record) (edit, error) {
		if old == nil || old.urls[qualifier] == nil {
			return edit{}, errNoSuchURL()
		}
		u = *old.urls[qualifier]
		set(&u.AuthType, in.AuthType)
		set(&u.InvokeMode, in.InvokeMode)
		if in.CORS != nil {
			u.CORS = cloneCORS(in.CORS)
		}
		u.ModifiedAt = r.now()
		rec := old.clone()
		rec.urls[qualifier] = &u
		return edit{now: rec, persist: func(tx *store.Tx) error { return putURL(tx, &u) }, urls: map[string]*mayfly.URLConfig{u.ID: &u}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &u, nil
}

// DeleteURL removes a function URL.
func (r *Registry) DeleteURL(ctx context.Context, id mayfly.FunctionID, qualifier string) error {
	if r.isClosed() {
		return errClosed()
	}
	return r.change(ctx, id, func(old *record) (edit, error) {
		if old == nil || old.urls[qualifier] == nil {
			return edit{}, errNoSuchURL()
		}
		u := old.urls[qualifier]
		rec := old.clone()
		delete(rec.urls, qualifier)
		return edit{now: rec, persist: func(tx *store.Tx) error { return deleteURL(tx, u.ID) }, urls: map[string]*mayfly.URLConfig{u.ID: nil}}, nil
	})
}

// GetURL returns the URL of a function or alias. Fails with KindNotFound.
func (r *Registry) GetURL(id mayfly.FunctionID, qualifier string) (*mayfly.URLConfig, error) {
	if rec := r.records.get(id); rec != nil {
		if u := rec.urls[qualifier]; u != nil {
			return u, nil
		}
	}
	return nil, errNoSuchURL()
}

// ListURLs returns up to max URLs of a function, by qualifier, that come after the URL with the host label after. next is
// what to pass as after for the following page, "" at the end.
func (r *Registry) ListURLs(id mayfly.FunctionID, after string, max int) (us []*mayfly.URLConfig, next string, err error) {
	rec := r.records.get(id)
	if rec == nil {
		return nil, "", errNoSuchFunction()
	}
	us = slices.SortedFunc(maps.Values(rec.urls), func(a, b *mayfly.URLConfig) int { return cmp.Compare(a.Qualifier, b.Qualifier) })
	if after != "" {
		// A label that is gone lists nothing more rather than all again.
		i := slices.IndexFunc(us, func(u *mayfly.URLConfig) bool { return u.ID == after })
		if i < 0 {
			return nil, "", nil
		}
		us = us[i+1:]
	}
	if max > 0 && len(us) > max {
		us = us[:max]
		next = us[max-1].ID
	}
	return us, next, nil
}

// URLByID returns the URL with that host label. It allocates nothing when it finds one. Fails with KindNotFound.
func (r *Registry) URLByID(id string) (*mayfly.URLConfig, error) {
	if u := (*r.urls.Load())[id]; u != nil {
		return u, nil
	}
	return nil, errNoSuchURL()
}

// showURLs makes committed changes visible to URLByID. The caller holds the lock of the function's shard, so that they come in
// the order of the commits.
func (r *Registry) showURLs(changes map[string]*mayfly.URLConfig) {
	if len(changes) == 0 {
		return
	}
	r.urlMu.Lock()
	defer r.urlMu.Unlock()
	m := maps.Clone(*r.urls.Load())
	for id, u := range changes {
		if u == nil {
			delete(m, id)
		} else {
			m[id] = u
		}
	}
	r.urls.Store(&m)
}

// newURLID makes a host label like Lambda's: 32 characters that nobody guesses.
func newURLID() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567" // 32 of them: a byte's low bits choose evenly
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = alphabet[b[i]%32]
	}
	return string(b)
}

// cloneCORS also drops a policy that says nothing.
func cloneCORS(in *mayfly.CORS) *mayfly.CORS {
	if in == nil || !in.AllowCredentials && in.MaxAge == nil &&
		len(in.AllowHeaders)+len(in.AllowMethods)+len(in.AllowOrigins)+len(in.ExposeHeaders) == 0 {
		return nil
	}
	c := *in
	c.AllowHeaders, c.AllowMethods = slices.Clone(in.AllowHeaders), slices.Clone(in.AllowMethods)
	c.AllowOrigins, c.ExposeHeaders = slices.Clone(in.AllowOrigins), slices.Clone(in.ExposeHeaders)
	if in.MaxAge != nil {
		age := *in.MaxAge
		c.MaxAge = &age
	}
	return &c
}

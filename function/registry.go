// Package function is the registry of functions: what they are called, how they are configured, and their code. Records
// live in the store and, whole, in memory; packages live in the blob store and, unpacked, in a folder each. A change is
// acknowledged once its package is fsync'd and its record committed; a read never touches the database.
package function

import (
	"context"
	"io"
	"log/slog"
	"time"

	"mayfly"
	"mayfly/blob"
	"mayfly/store"
)

// Options are what a Registry works with. DB, Blobs and CodeDir are required.
type Options struct {
	DB      store.DB
	Blobs   blob.Store
	CodeDir string           // where packages are unpacked; a cache that can be deleted while nothing runs
	Limits  mayfly.Limits    // zero value: mayfly.DefaultLimits()
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: discarded
}

// Registry holds all functions. It is safe for concurrent use.
type Registry struct{ o Options }

// Open loads every function and resumes what a previous process left Pending or InProgress.
func Open(ctx context.Context, o Options) (*Registry, error) { return &Registry{o: o}, nil }

// Close waits for background work (the way to Active) and refuses changes from then on. Reads still work.
func (r *Registry) Close() error { return nil }

// Lookup finds a version: qualifier "" or "$LATEST" is the current one. It allocates nothing when it finds one. Fails with KindNotFound.
func (r *Registry) Lookup(id mayfly.FunctionID, qualifier string) (*mayfly.Version, error) {
	return nil, notBuilt
}

// Function returns what all versions share. The result must not be changed. Fails with KindNotFound.
func (r *Registry) Function(id mayfly.FunctionID) (*mayfly.Function, error) { return nil, notBuilt }

// List returns $LATEST of up to max functions whose names come after the given one, by name. next is what to pass as
// after for the following page, "" at the end.
func (r *Registry) List(account, region, after string, max int) (vs []*mayfly.Version, next string) {
	return nil, ""
}

// ListVersions returns the versions of a function, $LATEST first, then by number. Fails with KindNotFound.
func (r *Registry) ListVersions(id mayfly.FunctionID) ([]*mayfly.Version, error) { return nil, notBuilt }

// Create makes a function from a deployment package. The answer is Pending.
func (r *Registry) Create(ctx context.Context, in CreateInput) (*mayfly.Version, error) {
	return nil, notBuilt
}

// UpdateCode replaces the code of $LATEST.
func (r *Registry) UpdateCode(ctx context.Context, id mayfly.FunctionID, in CodeInput) (*mayfly.Version, error) {
	return nil, notBuilt
}

// UpdateConfig changes the configuration of $LATEST.
func (r *Registry) UpdateConfig(ctx context.Context, id mayfly.FunctionID, in ConfigInput) (*mayfly.Version, error) {
	return nil, notBuilt
}

// Delete removes a function with all that belongs to it (qualifier ""), or one published version.
func (r *Registry) Delete(ctx context.Context, id mayfly.FunctionID, qualifier string) error {
	return notBuilt
}

// SetTags adds or replaces tags, then removes the named keys.
func (r *Registry) SetTags(ctx context.Context, id mayfly.FunctionID, add map[string]string, remove []string) error {
	return notBuilt
}

// OnChange registers fn to be called after a version of a function changed or was deleted, once the change is durable
// and visible to Lookup. fn is called without locks held and must not block for long.
func (r *Registry) OnChange(fn func(id mayfly.FunctionID)) {}

// CodeDir returns the folder with the unpacked package of v, unpacking it when it is not there. The folder must not be
// written to, and symbolic links in it must not be followed outside of a sandbox.
func (r *Registry) CodeDir(v *mayfly.Version) (string, error) { return "", notBuilt }

// OpenCode returns the deployment package as it was uploaded and its size in bytes.
func (r *Registry) OpenCode(ctx context.Context, v *mayfly.Version) (io.ReadCloser, int64, error) {
	return nil, 0, notBuilt
}

// Usage returns the bytes of all packages of all versions and the number of functions, as GetAccountSettings reports them.
func (r *Registry) Usage(account, region string) (codeBytes int64, functions int) { return 0, 0 }

// Collect deletes packages and folders that no version refers to. inUse tells which digests instances still run from.
func (r *Registry) Collect(ctx context.Context, inUse func(digest string) bool) error {
	return notBuilt
}

// CreateURL gives a function (or an alias of it) a URL. One each; fails with KindConflict when it has one.
func (r *Registry) CreateURL(ctx context.Context, in URLInput) (*mayfly.URLConfig, error) {
	return nil, notBuilt
}

// UpdateURL changes a function URL.
func (r *Registry) UpdateURL(ctx context.Context, id mayfly.FunctionID, qualifier string, in URLUpdate) (*mayfly.URLConfig, error) {
	return nil, notBuilt
}

// DeleteURL removes a function URL.
func (r *Registry) DeleteURL(ctx context.Context, id mayfly.FunctionID, qualifier string) error {
	return notBuilt
}

// GetURL returns the URL of a function or alias. Fails with KindNotFound.
func (r *Registry) GetURL(id mayfly.FunctionID, qualifier string) (*mayfly.URLConfig, error) {
	return nil, notBuilt
}

// ListURLs returns up to max URLs of a function whose qualifiers come after the given one; next as for List, "" at the end.
func (r *Registry) ListURLs(id mayfly.FunctionID, after string, max int) (us []*mayfly.URLConfig, next string, err error) {
	return nil, "", notBuilt
}

// URLByID returns the URL with that host label. It allocates nothing when it finds one. Fails with KindNotFound.
func (r *Registry) URLByID(id string) (*mayfly.URLConfig, error) { return nil, notBuilt }

var notBuilt = mayfly.Errorf(mayfly.KindNotImplemented, "being written")

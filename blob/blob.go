// Package blob defines where bytes that never change are kept: deployment packages and, later, images and layers. A blob
// is named by the SHA-256 of its content, so the same bytes are stored once, and what is read can be checked against the
// name it was asked by. The suite that every driver passes is in blobtest.
package blob

import (
	"context"
	"errors"
	"io"
)

// ErrNotFound is returned by Open for a digest that is not stored.
var ErrNotFound = errors.New("blob: not found")

// ErrCorrupt is returned by the reader that Open gave, in place of io.EOF, when what was read is not what was stored.
var ErrCorrupt = errors.New("blob: content does not match its digest")

// Ref names stored bytes.
type Ref struct {
	Digest string // lower-case hex SHA-256 of the content: 64 characters
	Size   int64  // bytes
}

// Store keeps blobs. It is safe for concurrent use, also by callers that put and delete the same digest.
type Store interface {
	// Put stores all of r and returns once it is durable. Putting what is there already is cheap when r is an io.Seeker.
	// When r or ctx fails nothing is stored.
	Put(ctx context.Context, r io.Reader) (Ref, error)

	// Open returns the content and its size in bytes; the caller closes it. The reader ends with ErrCorrupt instead of
	// io.EOF when the content is damaged, so a caller that reads to the end has verified it.
	Open(ctx context.Context, digest string) (io.ReadCloser, int64, error)

	// Has tells whether the digest is stored.
	Has(ctx context.Context, digest string) (bool, error)

	// Delete removes the blob; one that is not there is not an error. Readers that are open stay valid.
	Delete(ctx context.Context, digest string) error

	// List calls fn for each stored blob in no particular order until fn returns an error, which List returns.
	List(ctx context.Context, fn func(Ref) error) error
}

// ValidDigest tells whether s has the form of a digest. Drivers check it before a digest becomes a path.
func ValidDigest(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Package identity holds who may call and as what: IAM roles and policies, the access keys configured at start, and the
// temporary credentials of role sessions.
//
// Roles and policies are records in the store; they are stored and answered, and enforcing them comes later. Session
// credentials are stateless: the session token is the session, sealed with the master key, and the secret is derived
// from it, so that thousands of instances get credentials without a write, and every Mayfly that shares the master key
// accepts them.
package identity

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"mayfly"
	"mayfly/store"
)

// DefaultAccount is the account of callers that name none.
const DefaultAccount = "000000000000"

// Errors of Key.
var (
	ErrUnknownKey = errors.New("identity: no such access key, or not its session token")
	ErrExpired    = errors.New("identity: the session credentials have expired")
)

// AccessKey is a long-term access key, configured at start.
type AccessKey struct {
	ID      string
	Secret  string
	Account string // twelve digits; DefaultAccount when empty
	User    string // IAM user name; the account's root user when empty
}

// Options are what a Service needs.
type Options struct {
	DB         store.DB
	AccessKeys []AccessKey
	MasterKey  []byte // at least 32 secret bytes, the same after every start: see LoadMasterKey
	Now        func() time.Time
}

// Service is safe for concurrent use.
type Service struct {
	db   store.DB
	keys map[string]Key
	now  func() time.Time
	seal sealer
}

// Open checks the options. The tables of the store must have been migrated.
func Open(_ context.Context, o Options) (*Service, error) {
	if o.DB == nil {
		return nil, errors.New("identity: Options.DB is nil")
	}
	if len(o.MasterKey) < 32 {
		return nil, mayfly.Errorf(mayfly.KindInvalid, "the master key has %d bytes, it needs at least 32 random ones", len(o.MasterKey))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{db: o.DB, keys: make(map[string]Key, len(o.AccessKeys)), now: o.Now}
	for _, k := range o.AccessKeys {
		key, err := k.key()
		if err != nil {
			return nil, err
		}
		if _, twice := s.keys[k.ID]; twice {
			return nil, mayfly.Errorf(mayfly.KindInvalid, "access key %s is configured twice", k.ID)
		}
		s.keys[k.ID] = key
	}
	for _, part := range []struct {
		info string
		key  *[]byte
	}{{"mayfly session token", &s.seal.token}, {"mayfly session secret", &s.seal.secret}} {
		derived, err := hkdf.Key(sha256.New, o.MasterKey, nil, part.info, 32)
		if err != nil {
			return nil, fmt.Errorf("identity: derive %s key: %w", part.info, err)
		}
		*part.key = derived
	}
	return s, nil
}

// Enabled tells whether access keys are configured, so that every request must be signed with one.
func (s *Service) Enabled() bool { return len(s.keys) > 0 }

var (
	accountForm   = regexp.MustCompile(`^[0-9]{12}$`)
	accessKeyForm = regexp.MustCompile(`^\w{12,128}$`)
)

func (k AccessKey) key() (Key, error) {
	switch {
	case !accessKeyForm.MatchString(k.ID):
		return Key{}, mayfly.Errorf(mayfly.KindInvalid, "access key id %q must be 12 to 128 letters, digits or underscores", k.ID)
	case strings.HasPrefix(k.ID, sessionPrefix):
		return Key{}, mayfly.Errorf(mayfly.KindInvalid, "access key id %q begins with %s, which is for session credentials; use AKIA", k.ID, sessionPrefix)
	case len(k.Secret) < 8:
		return Key{}, mayfly.Errorf(mayfly.KindInvalid, "the secret of access key %s must have at least 8 characters", k.ID)
	}
	account := k.Account
	if account == "" {
		account = AccountOf(k.ID)
	}
	if !accountForm.MatchString(account) {
		return Key{}, mayfly.Errorf(mayfly.KindInvalid, "account %q of access key %s must be twelve digits", account, k.ID)
	}
	key := Key{ID: k.ID, Secret: k.Secret, Account: account, UserID: account, PrincipalARN: RootARN(account)}
	if k.User != "" {
		key.PrincipalARN = "arn:aws:iam::" + account + ":user/" + k.User
		key.UserID = derivedID("AIDA", key.PrincipalARN)
	}
	return key, nil
}

// AccountOf returns the account that an unverified access key id acts in: itself when it is twelve digits, as tools for
// local AWS use it, else DefaultAccount.
func AccountOf(accessKeyID string) string {
	if accountForm.MatchString(accessKeyID) {
		return accessKeyID
	}
	return DefaultAccount
}

// RootARN is the ARN of an account's root user.
func RootARN(account string) string { return "arn:aws:iam::" + account + ":root" }

// newID returns a unique id as IAM makes them: a prefix that tells the kind of entity, then 17 letters and digits.
func newID(prefix string) string {
	var b [11]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + base32.StdEncoding.EncodeToString(b[:])[:17]
}

// derivedID is an id for something that has no record of its own: always the same for the same name.
func derivedID(prefix, name string) string {
	sum := sha256.Sum256([]byte(name))
	return prefix + base32.StdEncoding.EncodeToString(sum[:11])[:17]
}

package identity

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"mayfly"
)

const (
	sessionPrefix = "ASIA"
	tokenVersion  = 1
	maxToken      = 4096 // characters; ours have about 300
)

// Key is what an access key stands for.
type Key struct {
	ID           string
	Secret       string
	Account      string
	PrincipalARN string    // user, root or assumed role
	UserID       string    // AIDA…, the account, or AROA…:session; for a session see Service.CallerID
	RoleARN      string    // of a session
	SessionName  string    // of a session
	Expires      time.Time // of a session; zero for a long-term key
}

// Credentials are temporary security credentials as STS hands them out.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time // whole seconds, UTC
}

// session is what a session token holds.
type session struct {
	Role    string `json:"r"`
	Name    string `json:"n"`
	Expires int64  `json:"e"` // Unix seconds
}

type sealer struct{ token, secret []byte }

// SessionCredentials makes credentials of a session of a role. The role need not exist: its ARN is taken as it is.
func (s *Service) SessionCredentials(roleARN, sessionName string, ttl time.Duration) Credentials {
	expires := s.now().Add(ttl).UTC().Truncate(time.Second)
	id := newID(sessionPrefix)[:20]
	plain, _ := json.Marshal(session{Role: roleARN, Name: sessionName, Expires: expires.Unix()}) // strings and a number: cannot fail
	token := s.seal.close(id, plain)
	return Credentials{AccessKeyID: id, SecretAccessKey: s.seal.derive(id, token), SessionToken: token, Expiration: expires}
}

// Key returns what an access key stands for. The error is ErrUnknownKey or ErrExpired.
func (s *Service) Key(accessKeyID, sessionToken string) (Key, error) {
	if key, ok := s.keys[accessKeyID]; ok {
		if sessionToken != "" {
			return Key{}, ErrUnknownKey
		}
		return key, nil
	}
	if !strings.HasPrefix(accessKeyID, sessionPrefix) || sessionToken == "" || len(sessionToken) > maxToken {
		return Key{}, ErrUnknownKey
	}
	plain, err := s.seal.open(accessKeyID, sessionToken)
	if err != nil {
		return Key{}, ErrUnknownKey
	}
	var in session
	if err := json.Unmarshal(plain, &in); err != nil {
		return Key{}, ErrUnknownKey
	}
	expires := time.Unix(in.Expires, 0).UTC()
	if !s.now().Before(expires) {
		return Key{}, ErrExpired
	}
	role, err := ParseRoleARN(in.Role)
	if err != nil {
		return Key{}, ErrUnknownKey
	}
	return Key{
		ID: accessKeyID, Secret: s.seal.derive(accessKeyID, sessionToken), Account: role.Account,
		PrincipalARN: AssumedRoleARN(role.Account, role.Name, in.Name),
		UserID:       derivedID("AROA", in.Role) + ":" + in.Name,
		RoleARN:      in.Role, SessionName: in.Name, Expires: expires,
	}, nil
}

// AssumedRoleARN is the ARN of a session of a role.
func AssumedRoleARN(account, roleName, sessionName string) string {
	return "arn:aws:sts::" + account + ":assumed-role/" + roleName + "/" + sessionName
}

// CallerID returns the unique id of k as GetCallerIdentity shows it. For a session it has the id of the role's record.
func (s *Service) CallerID(ctx context.Context, k Key) (string, error) {
	if k.RoleARN == "" {
		return k.UserID, nil
	}
	role, err := s.roleByARN(ctx, k.RoleARN)
	if mayfly.KindOf(err) == mayfly.KindNotFound {
		return k.UserID, nil
	}
	if err != nil {
		return "", err
	}
	return role.ID + ":" + k.SessionName, nil
}

// close seals plain, bound to the access key id, into a token.
func (k sealer) close(id string, plain []byte) string {
	aead := k.aead()
	out := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0] = tokenVersion
	_, _ = rand.Read(out[1:]) // never fails
	return base64.StdEncoding.EncodeToString(aead.Seal(out, out[1:], plain, []byte(id)))
}

var errToken = errors.New("not a session token of ours")

func (k sealer) open(id, token string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(token)
	aead := k.aead()
	if err != nil || len(raw) < 1+aead.NonceSize() || raw[0] != tokenVersion {
		return nil, errToken
	}
	n := 1 + aead.NonceSize()
	return aead.Open(nil, raw[1:n], raw[n:], []byte(id))
}

// derive gives the secret of a session: known to whoever has the master key, and to nobody from the token alone.
func (k sealer) derive(id, token string) string {
	h := hmac.New(sha256.New, k.secret)
	h.Write([]byte(id + "\x00" + token))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))[:40]
}

func (k sealer) aead() cipher.AEAD {
	block, err := aes.NewCipher(k.token)
	if err != nil {
		panic(err) // the key has 32 bytes: Open derived it
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the block size that GCM needs
	}
	return aead
}

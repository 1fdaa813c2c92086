package identity_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mayfly"
	"mayfly/identity"
	"mayfly/store"
	"mayfly/store/sqlite"
)

const account = "123456789012"

var (
	master = bytes.Repeat([]byte{7}, 32)
	start  = time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func openDB(t *testing.T) store.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "mayfly.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func open(t *testing.T, keys ...identity.AccessKey) (*identity.Service, *clock) {
	t.Helper()
	c := &clock{start}
	s, err := identity.Open(context.Background(), identity.Options{DB: openDB(t), AccessKeys: keys, MasterKey: master, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// wantError checks an error's kind and AWS code, and that its message has a text.
func wantError(t *testing.T, err error, kind mayfly.Kind, code, text string) {
	t.Helper()
	var e *mayfly.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code || !strings.Contains(e.Message, text) {
		t.Fatalf("got %#v, want kind %d, code %s, %q", err, kind, code, text)
	}
}

func TestAccessKeys(t *testing.T) {
	s, _ := open(t, identity.AccessKey{ID: "AKIAMAYFLYEXAMPLE001", Secret: "secret-one", Account: account, User: "deploy"},
		identity.AccessKey{ID: "111122223333", Secret: "secret-two"})
	if !s.Enabled() {
		t.Error("not enabled with access keys")
	}
	got, err := s.Key("AKIAMAYFLYEXAMPLE001", "")
	if err != nil || got.Secret != "secret-one" || got.Account != account || got.PrincipalARN != "arn:aws:iam::"+account+":user/deploy" || !strings.HasPrefix(got.UserID, "AIDA") {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = s.Key("111122223333", "")
	if err != nil || got.Account != "111122223333" || got.PrincipalARN != "arn:aws:iam::111122223333:root" || got.UserID != "111122223333" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, tc := range [][2]string{{"AKIANOTTHERE0000", ""}, {"AKIAMAYFLYEXAMPLE001", "token"}, {"", ""}, {"ASIAEXAMPLE", ""}, {"ASIAEXAMPLE", "AAAA"}, {"ASIAEXAMPLE", strings.Repeat("A", 5000)}} {
		if _, err := s.Key(tc[0], tc[1]); !errors.Is(err, identity.ErrUnknownKey) {
			t.Errorf("%q: %v", tc, err)
		}
	}
	if s, _ := open(t); s.Enabled() {
		t.Error("enabled without access keys")
	}
}

func TestOpenRefuses(t *testing.T) {
	good := identity.AccessKey{ID: "AKIAMAYFLYEXAMPLE001", Secret: "secret-one"}
	for name, tc := range map[string]struct {
		keys   []identity.AccessKey
		master []byte
		want   string
	}{
		"short master key": {nil, master[:31], "at least 32"},
		"short id":         {[]identity.AccessKey{{ID: "AKIA", Secret: "long-enough"}}, master, "12 to 128"},
		"session id":       {[]identity.AccessKey{{ID: "ASIAMAYFLYEXAMPLE001", Secret: "long-enough"}}, master, "use AKIA"},
		"short secret":     {[]identity.AccessKey{{ID: good.ID, Secret: "short"}}, master, "8 characters"},
		"bad account":      {[]identity.AccessKey{{ID: good.ID, Secret: good.Secret, Account: "12"}}, master, "twelve digits"},
		"twice":            {[]identity.AccessKey{good, good}, master, "twice"},
	} {
		_, err := identity.Open(context.Background(), identity.Options{DB: openDB(t), AccessKeys: tc.keys, MasterKey: tc.master})
		if mayfly.KindOf(err) != mayfly.KindInvalid || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), good.Secret) {
			t.Errorf("%s: the message shows the secret", name)
		}
	}
}

func TestSessionCredentials(t *testing.T) {
	s, c := open(t)
	const role = "arn:aws:iam::" + account + ":role/team/worker"
	creds := s.SessionCredentials(role, "f", time.Hour)
	if !regexp.MustCompile(`^ASIA[A-Z2-7]{16}$`).MatchString(creds.AccessKeyID) || len(creds.SecretAccessKey) != 40 || !creds.Expiration.Equal(start.Truncate(time.Second).Add(time.Hour)) {
		t.Errorf("credentials %+v", creds)
	}
	if again := s.SessionCredentials(role, "f", time.Hour); again.AccessKeyID == creds.AccessKeyID || again.SecretAccessKey == creds.SecretAccessKey {
		t.Error("two sessions share credentials")
	}
	key, err := s.Key(creds.AccessKeyID, creds.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	if key.Secret != creds.SecretAccessKey || key.Account != account || key.RoleARN != role || key.PrincipalARN != "arn:aws:sts::"+account+":assumed-role/worker/f" || !key.Expires.Equal(creds.Expiration) {
		t.Errorf("key %+v", key)
	}

	other, err := identity.Open(context.Background(), identity.Options{DB: openDB(t), MasterKey: master, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if k, err := other.Key(creds.AccessKeyID, creds.SessionToken); err != nil || k.Secret != creds.SecretAccessKey {
		t.Errorf("another server with the same master key: %v", err)
	}
	stranger, err := identity.Open(context.Background(), identity.Options{DB: openDB(t), MasterKey: bytes.Repeat([]byte{8}, 32), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Key(creds.AccessKeyID, creds.SessionToken); !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("a server with another master key: %v", err)
	}

	// Any change of the token, and the token under another id, is refused.
	for i := range creds.SessionToken {
		b := []byte(creds.SessionToken)
		if b[i] = 'A'; creds.SessionToken[i] == 'A' {
			b[i] = 'B'
		}
		if _, err := s.Key(creds.AccessKeyID, string(b)); !errors.Is(err, identity.ErrUnknownKey) {
			t.Fatalf("token changed at %d: %v", i, err)
		}
	}
	if _, err := s.Key("ASIAMAYFLYEXAMPLE001", creds.SessionToken); !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("token under another id: %v", err)
	}

	c.t = creds.Expiration.Add(-time.Nanosecond)
	if _, err := s.Key(creds.AccessKeyID, creds.SessionToken); err != nil {
		t.Errorf("just before the end: %v", err)
	}
	c.t = creds.Expiration
	if _, err := s.Key(creds.AccessKeyID, creds.SessionToken); !errors.Is(err, identity.ErrExpired) {
		t.Errorf("at the end: %v", err)
	}
}

func TestCallerID(t *testing.T) {
	ctx := context.Background()
	s, _ := open(t)
	role := createRole(t, s, "worker")
	creds := s.SessionCredentials(role.ARN(), "f", time.Hour)
	key, err := s.Key(creds.AccessKeyID, creds.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := s.CallerID(ctx, key); err != nil || id != role.ID+":f" {
		t.Errorf("got %s, %v, want the role's id", id, err)
	}
	if err := s.DeleteRole(ctx, account, "worker"); err != nil {
		t.Fatal(err)
	}
	if id, err := s.CallerID(ctx, key); err != nil || !strings.HasPrefix(id, "AROA") || !strings.HasSuffix(id, ":f") {
		t.Errorf("got %s, %v for a role without a record", id, err)
	}
}

func TestMasterKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	first, err := identity.LoadMasterKey(path)
	if err != nil || len(first) != 32 {
		t.Fatal(first, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if again, err := identity.LoadMasterKey(path); err != nil || !bytes.Equal(first, again) {
		t.Errorf("the second start has another key: %v", err)
	}
	if err := os.Truncate(path, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.LoadMasterKey(path); err == nil {
		t.Error("a damaged key was accepted")
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestRoleARN(t *testing.T) {
	for arn, want := range map[string]identity.RoleARN{
		"arn:aws:iam::123456789012:role/r":          {Account: "123456789012", Path: "/", Name: "r"},
		"arn:aws:iam::123456789012:role/a/b/r.x@-_": {Account: "123456789012", Path: "/a/b/", Name: "r.x@-_"},
	} {
		got, err := identity.ParseRoleARN(arn)
		if err != nil || got != want || got.String() != arn {
			t.Errorf("%s: %+v, %v", arn, got, err)
		}
	}
	for _, arn := range []string{"", "r", "arn:aws:iam::123:role/r", "arn:aws:iam::123456789012:user/r", "arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:role/a//r", "arn:aws:iam:us-east-1:123456789012:role/r", "arn:aws:iam::123456789012:role/r\n", "arn:aws:iam::123456789012:role/" + strings.Repeat("r", 65)} {
		if _, err := identity.ParseRoleARN(arn); mayfly.KindOf(err) != mayfly.KindInvalid {
			t.Errorf("%q: %v", arn, err)
		}
	}
	s, _ := open(t)
	role := createRole(t, s, "r")
	for arn, want := range map[string]bool{role.ARN(): true, "arn:aws:iam::" + account + ":role/x": false, "arn:aws:iam::" + account + ":role/path/r": false, "arn:aws:iam::999999999999:role/r": false} {
		if got, err := s.RoleExists(context.Background(), arn); err != nil || got != want {
			t.Errorf("%s: %v, %v", arn, got, err)
		}
	}
	if _, err := s.RoleExists(context.Background(), "junk"); mayfly.KindOf(err) != mayfly.KindInvalid {
		t.Errorf("junk: %v", err)
	}
}

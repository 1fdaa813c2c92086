package identity

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"mayfly"
	"mayfly/store"
)

// Quotas of IAM that are enforced (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
// Sizes are in characters other than white space.
const (
	maxTags             = 50
	maxAttachments      = 10
	maxInlineSize       = 10240 // all inline policies of a role together
	maxManagedSize      = 6144
	maxTrustSize        = 2048
	maxPolicyVersions   = 5
	defaultMaxSession   = time.Hour
	defaultPath         = "/"
	codeNoSuchEntity    = "NoSuchEntity"
	codeExists          = "EntityAlreadyExists"
	codeDeleteConflict  = "DeleteConflict"
	codeLimitExceeded   = "LimitExceeded"
	codeMalformedPolicy = "MalformedPolicyDocument"
	codeInvalidInput    = "InvalidInput"
)

// Role is an IAM role.
type Role struct {
	Account     string
	Name        string
	Path        string
	ID          string // AROA…
	Description string
	Trust       string // the assume role policy document
	MaxSession  time.Duration
	Boundary    string // ARN of the permissions boundary
	Tags        map[string]string
	CreatedAt   time.Time
}

// ARN returns the role's Amazon Resource Name.
func (r *Role) ARN() string { return RoleARN{r.Account, r.Path, r.Name}.String() }

// CreateRole records a role. Of in, ID and CreatedAt are set here; Path and MaxSession have defaults.
func (s *Service) CreateRole(ctx context.Context, in Role) (*Role, error) {
	if err := checkTrust(in.Trust); err != nil {
		return nil, err
	}
	if len(in.Tags) > maxTags {
		return nil, quota("TagsPerRole", maxTags)
	}
	r := in
	r.Path = cmp.Or(r.Path, defaultPath)
	r.MaxSession = cmp.Or(r.MaxSession, defaultMaxSession)
	r.ID = newID("AROA")
	r.CreatedAt = s.now().UTC().Truncate(time.Second)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		if r.Boundary != "" {
			if err := attachable(tx, r.Account, r.Boundary); err != nil {
				return err
			}
		}
		switch _, err := loadRole(tx, r.Account, r.Name); {
		case err == nil, mayfly.KindOf(err) == mayfly.KindConflict:
			return failure(mayfly.KindConflict, codeExists, "Role with name "+r.Name+" already exists.")
		case mayfly.KindOf(err) != mayfly.KindNotFound:
			return err
		}
		_, err := tx.Exec(`INSERT INTO iam_roles (account, name_key, name, path, id, description, trust, max_session, boundary, tags, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.Account, key(r.Name), r.Name, r.Path, r.ID, r.Description, r.Trust, int64(r.MaxSession/time.Second), r.Boundary, encodeTags(r.Tags), r.CreatedAt.Unix())
		return err
	})
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// Role returns a role, KindNotFound when there is none of that name.
func (s *Service) Role(ctx context.Context, account, name string) (*Role, error) {
	var role *Role
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		role, err = existingRole(tx, account, name)
		return err
	})
	return role, err
}

// Roles lists up to limit roles whose path begins with pathPrefix, by name, from the first after the given one. more tells
// that there are further ones.
func (s *Service) Roles(ctx context.Context, account, pathPrefix, after string, limit int) (roles []*Role, more bool, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		roles, more = nil, false
		rows, err := tx.Query(`SELECT `+roleColumns+` FROM iam_roles WHERE account = ? AND name_key > ? AND substr(path, 1, ?) = ?
			ORDER BY name_key LIMIT ?`, account, key(after), len(pathPrefix), pathPrefix, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scanRole(rows)
			if err != nil {
				return err
			}
			roles = append(roles, r)
		}
		return rows.Err()
	})
	if len(roles) > limit {
		roles, more = roles[:limit], true
	}
	return roles, more, err
}

// UpdateRole changes what is not nil.
func (s *Service) UpdateRole(ctx context.Context, account, name string, description *string, maxSession *time.Duration) error {
	return s.changeRole(ctx, account, name, func(r *Role) error {
		if description != nil {
			r.Description = *description
		}
		if maxSession != nil {
			r.MaxSession = *maxSession
		}
		return nil
	})
}

// UpdateTrust replaces the assume role policy document.
func (s *Service) UpdateTrust(ctx context.Context, account, name, document string) error {
	if err := checkTrust(document); err != nil {
		return err
	}
	return s.changeRole(ctx, account, name, func(r *Role) error {
		r.Trust = document
		return nil
	})
}

// TagRole adds or replaces tags.
func (s *Service) TagRole(ctx context.Context, account, name string, tags map[string]string) error {
	return s.changeRole(ctx, account, name, func(r *Role) error {
		maps.Copy(r.Tags, tags)
		if len(r.Tags) > maxTags {
			return quota("TagsPerRole", maxTags)
		}
		return nil
	})
}

// UntagRole removes tags; ones that are not there are ignored.
func (s *Service) UntagRole(ctx context.Context, account, name string, keys []string) error {
	return s.changeRole(ctx, account, name, func(r *Role) error {
		for _, k := range keys {
			delete(r.Tags, k)
		}
		return nil
	})
}

// SetBoundary sets the permissions boundary, or removes it when the ARN is empty.
func (s *Service) SetBoundary(ctx context.Context, account, name, policyARN string) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		r, err := existingRole(tx, account, name)
		if err != nil {
			return err
		}
		if policyARN != "" {
			if err := attachable(tx, account, policyARN); err != nil {
				return err
			}
		} else if r.Boundary == "" {
			return failure(mayfly.KindNotFound, codeNoSuchEntity, "Role "+name+" has no permissions boundary.")
		}
		r.Boundary = policyARN
		return saveRole(tx, r)
	})
}

// DeleteRole removes a role that has no policies left.
func (s *Service) DeleteRole(ctx context.Context, account, name string) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := existingRole(tx, account, name); err != nil {
			return err
		}
		for _, c := range []struct{ table, message string }{
			{"iam_role_attachments", "Cannot delete entity, must detach all policies first."},
			{"iam_role_policies", "Cannot delete entity, must delete policies first."},
		} {
			var n int
			if err := tx.QueryRow(`SELECT count(*) FROM `+c.table+` WHERE account = ? AND role_key = ?`, account, key(name)).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				return failure(mayfly.KindConflict, codeDeleteConflict, c.message)
			}
		}
		_, err := tx.Exec(`DELETE FROM iam_roles WHERE account = ? AND name_key = ?`, account, key(name))
		return err
	})
}

func (s *Service) changeRole(ctx context.Context, account, name string, change func(*Role) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		r, err := existingRole(tx, account, name)
		if err != nil {
			return err
		}
		if err := change(r); err != nil {
			return err
		}
		return saveRole(tx, r)
	})
}

const roleColumns = `account, name, path, id, description, trust, max_session, boundary, tags, created_at`

func scanRole(row interface{ Scan(...any) error }) (*Role, error) {
	var (
		r              Role
		maxSession, at int64
		tags           string
	)
	if err := row.Scan(&r.Account, &r.Name, &r.Path, &r.ID, &r.Description, &r.Trust, &maxSession, &r.Boundary, &tags, &at); err != nil {
		return nil, err
	}
	r.MaxSession = time.Duration(maxSession) * time.Second
	r.CreatedAt = time.Unix(at, 0).UTC()
	return &r, json.Unmarshal([]byte(tags), &r.Tags)
}

// loadRole finds a role by its name in any case.
func loadRole(tx *store.Tx, account, name string) (*Role, error) {
	r, err := scanRole(tx.QueryRow(`SELECT `+roleColumns+` FROM iam_roles WHERE account = ? AND name_key = ?`, account, key(name)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, noSuchRole(name)
	}
	return r, err
}

// existingRole finds a role by its name as written: names are unique in lower case, but must be given as they are.
func existingRole(tx *store.Tx, account, name string) (*Role, error) {
	r, err := loadRole(tx, account, name)
	if err == nil && r.Name != name {
		return nil, noSuchRole(name)
	}
	return r, err
}

func saveRole(tx *store.Tx, r *Role) error {
	_, err := tx.Exec(`UPDATE iam_roles SET description = ?, trust = ?, max_session = ?, boundary = ?, tags = ? WHERE account = ? AND name_key = ?`,
		r.Description, r.Trust, int64(r.MaxSession/time.Second), r.Boundary, encodeTags(r.Tags), r.Account, key(r.Name))
	return err
}

// SortedTags returns tags by key, as IAM lists them.
func SortedTags(tags map[string]string) []string { return slices.Sorted(maps.Keys(tags)) }

func encodeTags(tags map[string]string) string {
	if tags == nil {
		return "{}"
	}
	b, _ := json.Marshal(tags) // strings only: cannot fail
	return string(b)
}

func key(name string) string { return strings.ToLower(name) }

func failure(kind mayfly.Kind, code, message string) error {
	return &mayfly.Error{Kind: kind, Code: code, Message: message}
}

func noSuchRole(name string) error {
	return failure(mayfly.KindNotFound, codeNoSuchEntity, "The role with name "+name+" cannot be found.")
}

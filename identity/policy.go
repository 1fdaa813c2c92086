package identity

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"path"
	"strings"
	"time"

	"mayfly"
	"mayfly/store"
)

// Policy is a managed policy: a customer's, or one of AWS's own, which are known by ARN only.
type Policy struct {
	Account        string
	Name           string
	ARN            string
	Path           string
	ID             string // ANPA…
	Description    string
	DefaultVersion int
	Tags           map[string]string
	Attachments    int // roles that it is attached to
	Boundaries     int // roles whose permissions boundary it is
	CreatedAt      time.Time
	UpdatedAt      time.Time

	lastVersion int
}

// PolicyVersion is one version of a managed policy.
type PolicyVersion struct {
	Version   int
	Document  string
	Default   bool
	CreatedAt time.Time
}

// AWSManaged tells whether an ARN is of a policy that AWS provides (arn:aws:iam::aws:policy/…). All such are taken as
// existing: deploy scripts attach them by name, and their permissions are not enforced.
func AWSManaged(policyARN string) bool {
	account, err := policyAccount(policyARN)
	return err == nil && account == managedAccount
}

// awsManaged stands in for the record of a policy of AWS's. They date from before any account's.
func awsManaged(arn string) *Policy {
	_, rest, _ := strings.Cut(arn, ":policy")
	at := time.Date(2015, 2, 6, 18, 39, 46, 0, time.UTC)
	return &Policy{Account: managedAccount, Name: path.Base(rest), ARN: arn, Path: rest[:strings.LastIndexByte(rest, '/')+1],
		ID: derivedID("ANPA", arn), DefaultVersion: 1, CreatedAt: at, UpdatedAt: at, lastVersion: 1}
}

// CreatePolicy records a customer managed policy with document as its version v1.
func (s *Service) CreatePolicy(ctx context.Context, in Policy, document string) (*Policy, error) {
	if err := checkManaged(document); err != nil {
		return nil, err
	}
	if len(in.Tags) > maxTags {
		return nil, quota("TagsPerPolicy", maxTags)
	}
	p := in
	p.Path = cmp.Or(p.Path, defaultPath)
	p.ID = newID("ANPA")
	p.ARN = "arn:aws:iam::" + p.Account + ":policy" + p.Path + p.Name
	p.DefaultVersion, p.lastVersion = 1, 1
	p.CreatedAt = s.now().UTC().Truncate(time.Second)
	p.UpdatedAt = p.CreatedAt
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM iam_policies WHERE account = ? AND name_key = ?`, p.Account, key(p.Name)).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return failure(mayfly.KindConflict, codeExists, "A policy called "+p.Name+" already exists. Duplicate names are not allowed.")
		}
		_, err := tx.Exec(`INSERT INTO iam_policies (account, name_key, name, arn, path, id, description, default_version, last_version, tags, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, p.Account, key(p.Name), p.Name, p.ARN, p.Path, p.ID, p.Description, 1, 1,
			encodeTags(p.Tags), p.CreatedAt.Unix(), p.UpdatedAt.Unix())
		if err != nil {
			return err
		}
		return insertVersion(tx, &p, 1, document, p.CreatedAt)
	})
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// Policy returns a managed policy, KindNotFound when there is none.
func (s *Service) Policy(ctx context.Context, account, arn string) (p *Policy, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		p, err = loadPolicy(tx, account, arn)
		return err
	})
	return p, err
}

// PolicyFilter narrows Policies.
type PolicyFilter struct {
	PathPrefix   string
	OnlyAttached bool
	Boundaries   bool // those used as permissions boundary instead of those attached, when OnlyAttached
}

// Policies lists up to limit customer managed policies, by name, from the first after the given one.
func (s *Service) Policies(ctx context.Context, account string, f PolicyFilter, after string, limit int) (list []*Policy, more bool, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		list, more = nil, false
		query := `SELECT ` + policyColumns + ` FROM iam_policies p WHERE account = ? AND name_key > ? AND substr(path, 1, ?) = ?`
		if f.OnlyAttached && f.Boundaries {
			query += ` AND EXISTS (SELECT 1 FROM iam_roles r WHERE r.account = p.account AND r.boundary = p.arn)`
		} else if f.OnlyAttached {
			query += ` AND EXISTS (SELECT 1 FROM iam_role_attachments a WHERE a.account = p.account AND a.policy_arn = p.arn)`
		}
		rows, err := tx.Query(query+` ORDER BY name_key LIMIT ?`, account, key(after), len(f.PathPrefix), f.PathPrefix, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			p, err := scanPolicy(rows)
			if err != nil {
				return err
			}
			list = append(list, p)
		}
		return rows.Err()
	})
	if len(list) > limit {
		list, more = list[:limit], true
	}
	return list, more, err
}

// DeletePolicy removes a customer managed policy that is attached nowhere and has only its default version.
func (s *Service) DeletePolicy(ctx context.Context, account, arn string) error {
	return s.changePolicy(ctx, account, arn, func(tx *store.Tx, p *Policy) error {
		if p.Attachments+p.Boundaries > 0 {
			return failure(mayfly.KindConflict, codeDeleteConflict, "Cannot delete a policy attached to entities.")
		}
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM iam_policy_versions WHERE account = ? AND policy_arn = ?`, account, arn).Scan(&n); err != nil {
			return err
		}
		if n > 1 {
			return failure(mayfly.KindConflict, codeDeleteConflict, "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		if _, err := tx.Exec(`DELETE FROM iam_policy_versions WHERE account = ? AND policy_arn = ?`, account, arn); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM iam_policies WHERE account = ? AND arn = ?`, account, arn)
		return err
	})
}

// changePolicy runs change in a transaction with a customer managed policy.
func (s *Service) changePolicy(ctx context.Context, account, arn string, change func(*store.Tx, *Policy) error) error {
	if AWSManaged(arn) {
		return failure(mayfly.KindDenied, "AccessDenied", "Policies that AWS manages cannot be changed: "+arn)
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := loadPolicy(tx, account, arn)
		if err != nil {
			return err
		}
		return change(tx, p)
	})
}

const policyColumns = `account, name, arn, path, id, description, default_version, last_version, tags, created_at, updated_at,
	(SELECT count(*) FROM iam_role_attachments a WHERE a.account = p.account AND a.policy_arn = p.arn),
	(SELECT count(*) FROM iam_roles r WHERE r.account = p.account AND r.boundary = p.arn)`

func scanPolicy(row interface{ Scan(...any) error }) (*Policy, error) {
	var (
		p                Policy
		created, updated int64
		tags             string
	)
	err := row.Scan(&p.Account, &p.Name, &p.ARN, &p.Path, &p.ID, &p.Description, &p.DefaultVersion, &p.lastVersion, &tags, &created, &updated, &p.Attachments, &p.Boundaries)
	if err != nil {
		return nil, err
	}
	p.CreatedAt, p.UpdatedAt = time.Unix(created, 0).UTC(), time.Unix(updated, 0).UTC()
	return &p, json.Unmarshal([]byte(tags), &p.Tags)
}

func loadPolicy(tx *store.Tx, account, arn string) (*Policy, error) {
	owner, err := policyAccount(arn)
	if err != nil {
		return nil, err
	}
	if owner == managedAccount {
		p := awsManaged(arn)
		err := tx.QueryRow(`SELECT (SELECT count(*) FROM iam_role_attachments WHERE account = ? AND policy_arn = ?),
			(SELECT count(*) FROM iam_roles WHERE account = ? AND boundary = ?)`, account, arn, account, arn).Scan(&p.Attachments, &p.Boundaries)
		return p, err
	}
	p, err := scanPolicy(tx.QueryRow(`SELECT `+policyColumns+` FROM iam_policies p WHERE account = ? AND arn = ?`, account, arn))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, failure(mayfly.KindNotFound, codeNoSuchEntity, "Policy "+arn+" was not found.")
	}
	return p, err
}

// attachable checks that a policy can be attached in an account.
func attachable(tx *store.Tx, account, arn string) error {
	_, err := loadPolicy(tx, account, arn)
	if mayfly.KindOf(err) == mayfly.KindNotFound {
		return failure(mayfly.KindNotFound, codeNoSuchEntity, "Policy "+arn+" does not exist or is not attachable.")
	}
	return err
}

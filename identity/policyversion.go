package identity

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"mayfly"
	"mayfly/store"
)

// CreatePolicyVersion adds a version to a customer managed policy and, when asked, makes it the default.
func (s *Service) CreatePolicyVersion(ctx context.Context, account, arn, document string, setDefault bool) (*PolicyVersion, error) {
	if err := checkManaged(document); err != nil {
		return nil, err
	}
	var out *PolicyVersion
	at := s.now().UTC().Truncate(time.Second)
	err := s.changePolicy(ctx, account, arn, func(tx *store.Tx, p *Policy) error {
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM iam_policy_versions WHERE account = ? AND policy_arn = ?`, account, arn).Scan(&n); err != nil {
			return err
		}
		if n >= maxPolicyVersions {
			return failure(mayfly.KindQuota, codeLimitExceeded, "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
		}
		out = &PolicyVersion{Version: p.lastVersion + 1, Document: document, Default: setDefault, CreatedAt: at}
		def := p.DefaultVersion
		if setDefault {
			def = out.Version
		}
		if _, err := tx.Exec(`UPDATE iam_policies SET last_version = ?, default_version = ?, updated_at = ? WHERE account = ? AND arn = ?`,
			out.Version, def, at.Unix(), account, arn); err != nil {
			return err
		}
		return insertVersion(tx, p, out.Version, document, at)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// PolicyVersion returns one version of a managed policy.
func (s *Service) PolicyVersion(ctx context.Context, account, arn string, version int) (*PolicyVersion, error) {
	all, err := s.PolicyVersions(ctx, account, arn)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.Version == version {
			return v, nil
		}
	}
	return nil, noSuchVersion(arn, version)
}

// PolicyVersions returns all versions of a managed policy, newest first. There are five at most.
func (s *Service) PolicyVersions(ctx context.Context, account, arn string) (list []*PolicyVersion, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		list = nil
		p, err := loadPolicy(tx, account, arn)
		if err != nil {
			return err
		}
		if p.Account == managedAccount {
			// What AWS's own policies say is not known here; an empty statement list grants nothing and is a valid document.
			list = []*PolicyVersion{{Version: 1, Default: true, CreatedAt: p.CreatedAt, Document: `{"Version":"2012-10-17","Statement":[]}`}}
			return nil
		}
		rows, err := tx.Query(`SELECT version, document, created_at FROM iam_policy_versions WHERE account = ? AND policy_arn = ? ORDER BY version DESC`, account, arn)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				v  PolicyVersion
				at int64
			)
			if err := rows.Scan(&v.Version, &v.Document, &at); err != nil {
				return err
			}
			v.CreatedAt, v.Default = time.Unix(at, 0).UTC(), v.Version == p.DefaultVersion
			list = append(list, &v)
		}
		return rows.Err()
	})
	return list, err
}

// SetDefaultVersion makes an existing version the default.
func (s *Service) SetDefaultVersion(ctx context.Context, account, arn string, version int) error {
	at := s.now().UTC().Unix()
	return s.changePolicy(ctx, account, arn, func(tx *store.Tx, _ *Policy) error {
		var one int
		err := tx.QueryRow(`SELECT 1 FROM iam_policy_versions WHERE account = ? AND policy_arn = ? AND version = ?`, account, arn, version).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return noSuchVersion(arn, version)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE iam_policies SET default_version = ?, updated_at = ? WHERE account = ? AND arn = ?`, version, at, account, arn)
		return err
	})
}

// DeletePolicyVersion removes a version that is not the default.
func (s *Service) DeletePolicyVersion(ctx context.Context, account, arn string, version int) error {
	return s.changePolicy(ctx, account, arn, func(tx *store.Tx, p *Policy) error {
		if p.DefaultVersion == version {
			return failure(mayfly.KindConflict, codeDeleteConflict, "Cannot delete the default version of a policy.")
		}
		return deleteOne(tx, noSuchVersion(arn, version), `DELETE FROM iam_policy_versions WHERE account = ? AND policy_arn = ? AND version = ?`, account, arn, version)
	})
}

func insertVersion(tx *store.Tx, p *Policy, version int, document string, at time.Time) error {
	_, err := tx.Exec(`INSERT INTO iam_policy_versions (account, policy_arn, version, document, created_at) VALUES (?, ?, ?, ?, ?)`,
		p.Account, p.ARN, version, document, at.Unix())
	return err
}

func noSuchVersion(arn string, version int) error {
	return failure(mayfly.KindNotFound, codeNoSuchEntity, "Policy "+arn+" version v"+strconv.Itoa(version)+" does not exist or is not attachable.")
}

package identity

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"mayfly"
	"mayfly/store"
)

// PutRolePolicy adds or replaces an inline policy.
func (s *Service) PutRolePolicy(ctx context.Context, account, role, policy, document string) error {
	if err := checkPolicy(document); err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := existingRole(tx, account, role); err != nil {
			return err
		}
		size := visible(document)
		rows, err := tx.Query(`SELECT document FROM iam_role_policies WHERE account = ? AND role_key = ? AND name <> ?`, account, key(role), policy)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var other string
			if err := rows.Scan(&other); err != nil {
				return err
			}
			size += visible(other)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if size > maxInlineSize {
			return failure(mayfly.KindQuota, codeLimitExceeded, "Maximum policy size of "+strconv.Itoa(maxInlineSize)+" bytes exceeded for role "+role)
		}
		_, err = tx.Exec(`INSERT INTO iam_role_policies (account, role_key, name, document) VALUES (?, ?, ?, ?)
			ON CONFLICT (account, role_key, name) DO UPDATE SET document = excluded.document`, account, key(role), policy, document)
		return err
	})
}

// RolePolicy returns the document of an inline policy.
func (s *Service) RolePolicy(ctx context.Context, account, role, policy string) (document string, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := existingRole(tx, account, role); err != nil {
			return err
		}
		err := tx.QueryRow(`SELECT document FROM iam_role_policies WHERE account = ? AND role_key = ? AND name = ?`, account, key(role), policy).Scan(&document)
		if errors.Is(err, sql.ErrNoRows) {
			return noSuchRolePolicy(policy)
		}
		return err
	})
	return document, err
}

// RolePolicies lists the names of up to limit inline policies after the given one.
func (s *Service) RolePolicies(ctx context.Context, account, role, after string, limit int) (names []string, more bool, err error) {
	return s.roleList(ctx, account, role, `SELECT name FROM iam_role_policies WHERE account = ? AND role_key = ? AND name > ? ORDER BY name LIMIT ?`, after, limit)
}

// DeleteRolePolicy removes an inline policy.
func (s *Service) DeleteRolePolicy(ctx context.Context, account, role, policy string) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := existingRole(tx, account, role); err != nil {
			return err
		}
		return deleteOne(tx, noSuchRolePolicy(policy), `DELETE FROM iam_role_policies WHERE account = ? AND role_key = ? AND name = ?`, account, key(role), policy)
	})
}

// AttachRolePolicy attaches a managed policy; attaching it again changes nothing.
func (s *Service) AttachRolePolicy(ctx context.Context, account, role, policyARN string) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := existingRole(tx, account, role); err != nil {
			return err
		}
		if err := attachable(tx, account, policyARN); err != nil {
			return err
		}
		var others int
		err := tx.QueryRow(`SELECT count(*) FROM iam_role_attachments WHERE account = ? AND role_key = ? AND policy_arn <> ?`, account, key(role), policyARN).Scan(&others)
		if err != nil {
			return err
		}
		if others >= maxAttachments {
			return quota("PoliciesPerRole", maxAttachments)
		}
		_, err = tx.Exec(`INSERT INTO iam_role_attachments (account, role_key, policy_arn) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, account, key(role), policyARN)
		return err
	})
}

// DetachRolePolicy undoes AttachRolePolicy.
func (s *Service) DetachRolePolicy(ctx context.Context, account, role, policyARN string) error {
	if _, err := policyAccount(policyARN); err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := existingRole(tx, account, role); err != nil {
			return err
		}
		return deleteOne(tx, failure(mayfly.KindNotFound, codeNoSuchEntity, "Policy "+policyARN+" was not found."),
			`DELETE FROM iam_role_attachments WHERE account = ? AND role_key = ? AND policy_arn = ?`, account, key(role), policyARN)
	})
}

// AttachedPolicies lists the ARNs of up to limit attached managed policies after the given one.
func (s *Service) AttachedPolicies(ctx context.Context, account, role, after string, limit int) (arns []string, more bool, err error) {
	return s.roleList(ctx, account, role, `SELECT policy_arn FROM iam_role_attachments WHERE account = ? AND role_key = ? AND policy_arn > ? ORDER BY policy_arn LIMIT ?`, after, limit)
}

func (s *Service) roleList(ctx context.Context, account, role, query, after string, limit int) (list []string, more bool, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		list = nil
		if _, err := existingRole(tx, account, role); err != nil {
			return err
		}
		rows, err := tx.Query(query, account, key(role), after, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var item string
			if err := rows.Scan(&item); err != nil {
				return err
			}
			list = append(list, item)
		}
		return rows.Err()
	})
	if len(list) > limit {
		list, more = list[:limit], true
	}
	return list, more, err
}

// deleteOne runs a DELETE and fails with missing when it removed nothing.
func deleteOne(tx *store.Tx, missing error, query string, args ...any) error {
	res, err := tx.Exec(query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, missing)
	}
	return nil
}

// visible counts the characters of a document other than white space, which is what IAM's size quotas count.
func visible(document string) int {
	n := len(document)
	for _, space := range []string{" ", "\t", "\n", "\r"} {
		n -= strings.Count(document, space)
	}
	return n
}

func noSuchRolePolicy(name string) error {
	return failure(mayfly.KindNotFound, codeNoSuchEntity, "The role policy with name "+name+" cannot be found.")
}

func quota(name string, limit int) error {
	return failure(mayfly.KindQuota, codeLimitExceeded, "Cannot exceed quota for "+name+": "+strconv.Itoa(limit))
}

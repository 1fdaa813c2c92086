package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"mayfly"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema up to what this binary knows: it runs the embedded files migrations/NNNN_name.sql that are
// not recorded yet, by number, each in one transaction. It refuses a database that a newer Mayfly wrote, and one whose
// recorded migrations differ from the ones in this binary. Implementations call it while opening.
func Migrate(ctx context.Context, db DB) error {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return MigrateFrom(ctx, db, sub)
}

// MigrationFiles returns the embedded migrations by file name, for tests and tools.
func MigrationFiles() (map[string][]byte, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte, len(names))
	for _, name := range names {
		if files[path.Base(name)], err = migrations.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

type migration struct {
	number   int
	name     string
	checksum string
	script   string
}

// MigrateFrom is Migrate with the *.sql files at the top of files.
func MigrateFrom(ctx context.Context, db DB, files fs.FS) error {
	known, err := readMigrations(files)
	if err != nil {
		return err
	}
	err = db.Update(ctx, func(tx *Tx) error {
		_, err := tx.Exec(`CREATE TABLE IF NOT EXISTS schema_migrations (
			number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)`)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: prepare migrations: %w", err)
	}
	applied, err := appliedMigrations(ctx, db)
	if err != nil {
		return fmt.Errorf("store: read migrations: %w", err)
	}
	newest := 0
	if len(known) > 0 {
		newest = known[len(known)-1].number
	}
	for number, a := range applied {
		if number > newest {
			return mayfly.Errorf(mayfly.KindUnavailable, "the database was written by a newer Mayfly (its schema is %d, this binary knows %d): start the newer binary, or restore a backup", number, newest)
		}
		i := sort.Search(len(known), func(i int) bool { return known[i].number >= number })
		if known[i].number != number || known[i].checksum != a.checksum {
			return mayfly.Errorf(mayfly.KindUnavailable, "the database has migration %s, which is not the one in this binary: start the binary that wrote it, or restore a backup", a.name)
		}
	}
	for _, m := range known {
		if _, ok := applied[m.number]; ok {
			continue
		}
		if err := db.Update(ctx, func(tx *Tx) error { return m.apply(tx) }); err != nil {
			return fmt.Errorf("store: migration %s: %w", m.name, err)
		}
	}
	return nil
}

func (m migration) apply(tx *Tx) error {
	// Another process that shares the database may have been faster.
	var n int
	if err := tx.QueryRow(`SELECT COUNT(*) FROM schema_migrations WHERE number = ?`, m.number).Scan(&n); err != nil || n > 0 {
		return err
	}
	if _, err := tx.Exec(m.script); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)`,
		m.number, m.name, m.checksum, time.Now().UnixMicro())
	return err
}

func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	var ms []migration
	for _, name := range names {
		digits, _, ok := strings.Cut(path.Base(name), "_")
		number, err := strconv.Atoi(digits)
		if !ok || err != nil || number < 1 {
			return nil, fmt.Errorf("store: migration %q is not named NNNN_name.sql", name)
		}
		script, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(script)
		ms = append(ms, migration{number, name, hex.EncodeToString(sum[:]), string(script)})
	}
	sort.Slice(ms, func(i, j int) bool { return ms[i].number < ms[j].number })
	for i := 1; i < len(ms); i++ {
		if ms[i].number == ms[i-1].number {
			return nil, fmt.Errorf("store: migrations %q and %q have the same number", ms[i-1].name, ms[i].name)
		}
	}
	return ms, nil
}

func appliedMigrations(ctx context.Context, db DB) (map[int]migration, error) {
	applied := make(map[int]migration)
	err := db.View(ctx, func(tx *Tx) error {
		clear(applied)
		rows, err := tx.Query(`SELECT number, name, checksum FROM schema_migrations`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var m migration
			if err := rows.Scan(&m.number, &m.name, &m.checksum); err != nil {
				return err
			}
			applied[m.number] = m
		}
		return rows.Err()
	})
	return applied, err
}

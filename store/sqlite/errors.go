package sqlite

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"mayfly"
)

// explain words SQLite's errors that a user can do something about. Others pass as they are.
func explain(err error, path string) error {
	var e *sqlite.Error
	var known *mayfly.Error
	if err == nil || errors.As(err, &known) || !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return damaged(path, err)
	case sqlite3.SQLITE_FULL:
		return mayfly.Errorf(mayfly.KindUnavailable, "the disk with %s is full: nothing was written; free some space (%w)", path, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return mayfly.Errorf(mayfly.KindUnavailable, "another program holds a lock on %s: close it (%w)", path, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return mayfly.Errorf(mayfly.KindUnavailable, "cannot write to %s: check the owner and mode of the file and its folder (%w)", path, err)
	}
	return err
}

func damaged(path string, cause error) error {
	return mayfly.Errorf(mayfly.KindUnavailable, "%s is damaged or not a Mayfly database: restore it from a backup, or move it away to start empty (%w)", path, cause)
}

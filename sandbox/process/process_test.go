//go:build unix

package process_test

import (
	"log/slog"
	"os"
	"testing"

	"mayfly/sandbox"
	"mayfly/sandbox/process"
	"mayfly/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	sandboxtest.Helper()
	os.Exit(m.Run())
}

func TestDriver(t *testing.T) {
	sandboxtest.Run(t, func(t *testing.T) sandbox.Driver { return process.New(slog.New(slog.DiscardHandler)) }, sandboxtest.Traits{})
}

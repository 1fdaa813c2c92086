//go:build linux

package native_test

import (
	"log/slog"
	"os"
	"testing"

	"mayfly/sandbox"
	"mayfly/sandbox/native"
	"mayfly/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	if native.IsInit(os.Args) {
		native.InitMain()
	}
	sandboxtest.Helper()
	probe()
	server()
	os.Exit(m.Run())
}

// newDriver makes a driver with a data directory of its own, which is closed after the test, or skips the test.
func newDriver(t testing.TB, change ...func(*native.Options)) *native.Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("native sandboxes need root")
	}
	o := native.Options{DataDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	for _, f := range change {
		f(&o)
	}
	d, err := native.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the sandboxes' own
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestDriver(t *testing.T) {
	sandboxtest.Run(t, func(t *testing.T) sandbox.Driver { return newDriver(t) }, sandboxtest.Traits{Isolated: true})
}

package function_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly"
	"mayfly/blob/disk"
	"mayfly/function"
	"mayfly/store"
	"mayfly/store/sqlite"
)

// setState changes what is stored, as if the process had been killed on the way.
func setState(t *testing.T, dir, name, state, update string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "mayfly.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE function_versions SET state = ?, last_update_status = ? WHERE name = ?`, state, update, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInterruptedWorkIsResumed(t *testing.T) {
	for _, tt := range []struct{ name, state, update string }{
		{"create", "Pending", "Successful"},
		{"update", "Active", "InProgress"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			w := open(t, dir, function.Options{})
			w.create(t, input(t, "f"))
			v := w.settled(t, id("f"))
			w.close()
			setState(t, dir, "f", tt.state, tt.update)
			if err := os.RemoveAll(filepath.Join(dir, "code", v.Code.Digest)); err != nil {
				t.Fatal(err)
			}
			w = open(t, dir, function.Options{})
			if v := w.settled(t, id("f")); v.State != mayfly.StateActive || v.LastUpdateStatus != mayfly.UpdateSuccessful {
				t.Errorf("%s, %s", v.State, v.LastUpdateStatus)
			}
			w.close()
			// And it is durable: another start finds nothing to do.
			w = open(t, dir, function.Options{})
			if v, err := w.Lookup(id("f"), ""); err != nil || v.State != mayfly.StateActive {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}

func TestLostPackageFailsTheFunction(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, function.Options{})
	w.create(t, input(t, "f"))
	v := w.settled(t, id("f"))
	w.close()
	setState(t, dir, "f", "Pending", "Successful")
	for _, path := range []string{filepath.Join("code", v.Code.Digest), filepath.Join("blobs", v.Code.Digest[:2])} {
		if err := os.RemoveAll(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	w = open(t, dir, function.Options{})
	if v := w.settled(t, id("f")); v.State != mayfly.StateFailed || v.StateReason == "" || v.StateReasonCode == "" {
		t.Errorf("%s %q %q", v.State, v.StateReason, v.StateReasonCode)
	}
	// New code repairs it.
	if _, err := w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "new")}); err != nil {
		t.Fatal(err)
	}
	if v := w.settled(t, id("f")); v.State != mayfly.StateActive {
		t.Errorf("%s", v.State)
	}
}

func TestUpdateWhileOneIsInProgress(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	in := input(t, "f")
	// hold lets the commit of the change itself pass and makes the one that settles it wait.
	hold := func() (release func()) {
		var n atomic.Int64
		leave := make(chan struct{})
		w.gate.set(func() error {
			if n.Add(1) == 2 {
				<-leave
			}
			return nil
		})
		return func() { close(leave) }
	}
	release := hold()
	w.create(t, in)
	_, err := w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "2")})
	wantKind(t, err, mayfly.KindConflict, "The operation cannot be performed at this time. The function is currently in the following state: Pending")
	release()
	w.settled(t, id("f"))

	release = hold()
	if _, err := w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "2")}); err != nil {
		t.Fatal(err)
	}
	_, err = w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "3")})
	wantKind(t, err, mayfly.KindConflict, "The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda:us-east-1:000000000000:function:f")
	release()
	w.settled(t, id("f"))
	w.gate.set(nil)
	if _, err = w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "3")}); err != nil {
		t.Error(err)
	}
}

func TestFailedCommitChangesNothing(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	w.create(t, input(t, "f"))
	before := w.settled(t, id("f"))
	full := errors.New("disk full")
	w.gate.set(func() error { return full })
	ctx := t.Context()
	_, err := w.Create(ctx, input(t, "g"))
	_, codeErr := w.UpdateCode(ctx, id("f"), function.CodeInput{Zip: handler(t, "2")})
	_, confErr := w.UpdateConfig(ctx, id("f"), function.ConfigInput{})
	_, urlErr := w.CreateURL(ctx, function.URLInput{Function: id("f"), AuthType: "NONE"})
	for i, err := range []error{err, codeErr, confErr, urlErr, w.SetTags(ctx, id("f"), map[string]string{"a": "b"}, nil), w.Delete(ctx, id("f"), "")} {
		if !errors.Is(err, full) {
			t.Errorf("%d: error %v", i, err)
		}
	}
	w.gate.set(nil)
	if v, err := w.Lookup(id("f"), ""); v != before || err != nil {
		t.Errorf("f changed: %v", err)
	}
	if vs, _ := w.List("000000000000", "us-east-1", "", 10); len(vs) != 1 {
		t.Errorf("%d functions", len(vs))
	}
	if bytes, n := w.Usage("000000000000", "us-east-1"); n != 1 || bytes != before.Code.Size {
		t.Errorf("usage %d bytes, %d functions", bytes, n)
	}
	if us, _, err := w.ListURLs(id("f"), "", 10); len(us) != 0 || err != nil {
		t.Errorf("URLs %v, %v", us, err)
	}
}

func TestCodeStorageQuota(t *testing.T) {
	limits := mayfly.DefaultLimits()
	size := int64(len(input(t, "f").Zip))
	limits.CodeStorageBytes = 2*size + size/2
	w := open(t, t.TempDir(), function.Options{Limits: limits})
	w.create(t, input(t, "a"))
	w.create(t, input(t, "b"))
	_, err := w.Create(t.Context(), input(t, "c"))
	wantKind(t, err, mayfly.KindQuota, "Code storage limit exceeded.")
	w.settled(t, id("a"))
	if _, err := w.UpdateCode(t.Context(), id("a"), function.CodeInput{Zip: input(t, "a").Zip}); err != nil {
		t.Errorf("the same size again: %v", err)
	}
	w.settled(t, id("a"))
	_, err = w.UpdateCode(t.Context(), id("a"), function.CodeInput{Zip: input(t, "a").Zip, Publish: true})
	wantKind(t, err, mayfly.KindQuota)
	elsewhere := input(t, "c")
	elsewhere.ID.Region = "eu-west-1"
	w.create(t, elsewhere)
	if err := w.Delete(t.Context(), id("b"), ""); err != nil {
		t.Fatal(err)
	}
	w.create(t, input(t, "c"))
}

// folders lists the unpacked packages.
func folders(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "code"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	var clock atomic.Int64
	now := func() time.Time { return time.Unix(1_700_000_000, clock.Load()) }
	w := open(t, dir, function.Options{Now: now, CollectGrace: time.Minute})
	ctx := t.Context()
	w.create(t, input(t, "f"))
	first := w.settled(t, id("f"))
	same := w.create(t, input(t, "g")) // the same package
	if same.Code != first.Code || len(folders(t, dir)) != 1 {
		t.Errorf("one package, folders %v", folders(t, dir))
	}
	if _, err := w.UpdateCode(ctx, id("f"), function.CodeInput{Zip: handler(t, "2")}); err != nil {
		t.Fatal(err)
	}
	collect := func(inUse func(string) bool) {
		t.Helper()
		if err := w.Collect(ctx, inUse); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, want bool) {
		t.Helper()
		has, err := w.blobs.Has(ctx, first.Code.Digest)
		if err != nil || has != want {
			t.Errorf("%s: zip there %v, %v", what, has, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "code", first.Code.Digest)); (err == nil) != want {
			t.Errorf("%s: folder %v", what, err)
		}
	}
	clock.Add(int64(time.Hour))
	collect(nil)
	clock.Add(int64(time.Hour))
	collect(nil)
	expect("another function has it", true)
	if err := w.Delete(ctx, id("g"), ""); err != nil {
		t.Fatal(err)
	}
	collect(nil)
	expect("within the grace", true)
	clock.Add(int64(time.Minute))
	collect(func(digest string) bool { return digest == first.Code.Digest })
	expect("in use", true)
	collect(nil)
	expect("no longer in use, within the grace", true)
	clock.Add(int64(time.Minute))
	collect(nil)
	expect("unused", false)
	if names := folders(t, dir); len(names) != 1 {
		t.Errorf("folders %v", names)
	}
	// It can come again.
	w.create(t, input(t, "g"))
	expect("uploaded again", true)
	if _, err := w.CodeDir(w.settled(t, id("g"))); err != nil {
		t.Error(err)
	}
}

func TestCollectDuringChanges(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{CollectGrace: 1})
	ctx := t.Context()
	stop := make(chan struct{})
	var collector sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := w.Collect(ctx, nil); err != nil {
					t.Error(err)
				}
			}
		}
	})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for round := range 8 {
				in := input(t, fmt.Sprintf("f%d", i))
				in.Zip = handler(t, fmt.Sprint(round%2)) // shared among all
				v, err := w.Create(ctx, in)
				if err != nil {
					t.Error(err)
					return
				}
				if dir, err := w.CodeDir(v); err != nil {
					t.Error(err)
				} else if _, err := os.Stat(filepath.Join(dir, "index.js")); err != nil {
					t.Error(err)
				}
				r, _, err := w.OpenCode(ctx, v)
				if err != nil {
					t.Error(err)
				} else {
					r.Close()
				}
				if err := w.Delete(ctx, in.ID, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	collector.Wait()
}

func TestUnpackedOnceAndTrustedOnlyWithinABoot(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, function.Options{})
	w.create(t, input(t, "f"))
	v := w.settled(t, id("f"))
	w.close()
	mark := filepath.Join(dir, "code", v.Code.Digest, "mark")
	if err := os.WriteFile(mark, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	// What a killed process left.
	for _, name := range []string{".tmp-1", ".trash-1"} {
		if err := os.MkdirAll(filepath.Join(dir, "code", name, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	codeDir := func() {
		t.Helper()
		w = open(t, dir, function.Options{})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := w.CodeDir(v); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		w.close()
		if names := folders(t, dir); len(names) != 1 || names[0] != v.Code.Digest {
			t.Errorf("folders %v", names)
		}
	}
	codeDir()
	if _, err := os.Stat(mark); os.IsNotExist(err) {
		if _, err := os.Stat("/proc/sys/kernel/random/boot_id"); err == nil {
			t.Error("unpacked again in the same boot")
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "code", ".boot"), []byte("another boot"), 0o600); err != nil {
		t.Fatal(err)
	}
	codeDir()
	if _, err := os.Stat(mark); err == nil {
		t.Error("a folder of another boot, which may be incomplete, is still used")
	}
}

func TestAfterClose(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	w.create(t, input(t, "f"))
	if err := w.Registry.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, err := w.Create(ctx, input(t, "g"))
	wantKind(t, err, mayfly.KindUnavailable)
	_, err = w.UpdateCode(ctx, id("f"), function.CodeInput{Zip: handler(t, "2")})
	wantKind(t, err, mayfly.KindUnavailable)
	_, err = w.UpdateConfig(ctx, id("f"), function.ConfigInput{})
	wantKind(t, err, mayfly.KindUnavailable)
	wantKind(t, w.Delete(ctx, id("f"), ""), mayfly.KindUnavailable)
	wantKind(t, w.SetTags(ctx, id("f"), nil, nil), mayfly.KindUnavailable)
	if v, err := w.Lookup(id("f"), ""); err != nil || v.State != mayfly.StateActive {
		t.Errorf("Close did not wait: %+v, %v", v, err)
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	in := input(t, "f")
	in.Publish = true
	w.create(t, in)
	w.settled(t, id("f"))
	u, err := w.CreateURL(t.Context(), function.URLInput{Function: id("f"), AuthType: "NONE"})
	if err != nil {
		t.Fatal(err)
	}
	fid := id("f")
	n := testing.AllocsPerRun(100, func() {
		for _, qualifier := range []string{"", "$LATEST", "1"} {
			if v, err := w.Lookup(fid, qualifier); v == nil || err != nil {
				t.Error(err)
			}
		}
		if _, err := w.URLByID(u.ID); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConcurrentChanges(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, function.Options{})
	ctx := t.Context()
	var made, conflicts atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 4 {
				in := input(t, fmt.Sprintf("f%d", j)) // each name from all sides
				in.Zip = handler(t, fmt.Sprint(i))
				_, err := w.Create(ctx, in)
				switch {
				case err == nil:
					made.Add(1)
				case mayfly.KindOf(err) == mayfly.KindConflict:
					conflicts.Add(1)
				default:
					t.Error(err)
				}
				if err := w.SetTags(ctx, in.ID, map[string]string{fmt.Sprintf("t%d", i): "x"}, nil); err != nil {
					t.Error(err)
				}
				w.List("000000000000", "us-east-1", "", 10)
			}
		})
	}
	wg.Wait()
	if made.Load() != 4 || conflicts.Load() != 28 {
		t.Errorf("%d made, %d conflicts", made.Load(), conflicts.Load())
	}
	check := func() {
		t.Helper()
		for j := range 4 {
			fn, err := w.Function(id(fmt.Sprintf("f%d", j)))
			if err != nil || len(fn.Tags) != 9 {
				t.Errorf("tags %v, %v: one was lost", fn.Tags, err)
			}
		}
	}
	check()
	w.close()
	w = open(t, dir, function.Options{})
	check()
}

// TestKilled kills a process that creates functions and prints each once it is acknowledged.
func TestKilled(t *testing.T) {
	const env = "MAYFLY_FUNCTION_TEST_DIR"
	if dir := os.Getenv(env); dir != "" {
		createForever(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$", "-test.count=1")
	cmd.Env = append(os.Environ(), env+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := map[string]string{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var name, digest string
		if _, err := fmt.Sscanf(lines.Text(), "ack %s %s .", &name, &digest); err != nil {
			continue
		}
		acked[name] = digest
		if len(acked) == 40 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	if len(acked) < 40 {
		t.Fatalf("%d functions acknowledged", len(acked))
	}
	w := open(t, dir, function.Options{})
	for name, digest := range acked {
		v := w.settled(t, id(name))
		if v.State != mayfly.StateActive || v.Code.Digest != digest {
			t.Errorf("%s: %s, %s", name, v.State, v.StateReason)
		}
		code, err := w.CodeDir(v)
		if err != nil {
			t.Error(err)
			continue
		}
		if b, err := os.ReadFile(filepath.Join(code, "index.js")); string(b) != name || err != nil {
			t.Errorf("%s: code %q, %v", name, b, err)
		}
	}
	w.close()
	for _, name := range folders(t, dir) {
		if strings.HasPrefix(name, ".") {
			t.Errorf("left over: %s", name)
		}
	}
}

func createForever(t *testing.T, dir string) {
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "mayfly.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := disk.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := function.Open(t.Context(), function.Options{DB: db, Blobs: blobs, CodeDir: filepath.Join(dir, "code")})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := 0; ; j++ {
				in := input(t, fmt.Sprintf("f%d-%d", i, j))
				in.Zip = handler(t, in.ID.Name)
				v, err := r.Create(context.Background(), in)
				if err != nil {
					fmt.Fprintln(os.Stderr, "create:", err)
					return
				}
				fmt.Printf("ack %s %s .\n", in.ID.Name, v.Code.Digest)
			}
		})
	}
	wg.Wait()
}

package function_test

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly"
	"mayfly/blob"
	"mayfly/blob/disk"
	"mayfly/function"
	"mayfly/store"
	"mayfly/store/sqlite"
)

// world is a registry with what it stands on.
type world struct {
	*function.Registry
	gate  *gate
	dir   string
	db    store.DB
	blobs blob.Store
	close func()
}

// gate is a database whose writes can be made to fail.
type gate struct {
	store.DB
	fail func() error // asked before each Update; nil is never
	mu   sync.Mutex
}

func (g *gate) set(fail func() error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail = fail
}

func (g *gate) Update(ctx context.Context, fn func(*store.Tx) error) error {
	g.mu.Lock()
	fail := g.fail
	g.mu.Unlock()
	if fail != nil {
		if err := fail(); err != nil {
			return err
		}
	}
	return g.DB.Update(ctx, fn)
}

// open opens the registry in dir; again after close is a restart.
func open(t testing.TB, dir string, o function.Options) *world {
	t.Helper()
	db, err := sqlite.Open(context.Background(), filepath.Join(dir, "mayfly.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := disk.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{DB: db}
	o.DB, o.Blobs, o.CodeDir = g, blobs, filepath.Join(dir, "code")
	r, err := function.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Registry: r, gate: g, dir: dir, db: db, blobs: blobs}
	w.close = sync.OnceFunc(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close registry: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	t.Cleanup(w.close)
	return w
}

func id(name string) mayfly.FunctionID {
	return mayfly.FunctionID{Account: "000000000000", Region: "us-east-1", Name: name}
}

// files makes a zip as the zip program does: names ending in / are folders.
func files(t testing.TB, content map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(content)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o644)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(f, content[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func handler(t testing.TB, body string) []byte {
	return files(t, map[string]string{"index.js": body})
}

func input(t testing.TB, name string) function.CreateInput {
	return function.CreateInput{
		ID: id(name), Description: "a test", Runtime: "nodejs22.x", Handler: "index.handler",
		Role: "arn:aws:iam::000000000000:role/r", Timeout: 3 * time.Second, MemoryMB: 128, EphemeralMB: 512,
		Environment: map[string]string{"A": "1"}, Architectures: []string{"x86_64"}, PackageType: "Zip",
		TracingMode: "PassThrough", Logging: mayfly.Logging{Format: "Text", Group: "/aws/lambda/" + name},
		Vpc:       &mayfly.VpcConfig{SubnetIDs: []string{"subnet-1"}, SecurityGroupIDs: []string{"sg-1"}},
		SnapStart: "None", Egress: "internet", RecursiveLoop: "Terminate", RuntimeManagementMode: "Auto",
		Zip: handler(t, "exports.handler = async () => 1"), Tags: map[string]string{"team": "a"},
	}
}

func (w *world) create(t testing.TB, in function.CreateInput) *mayfly.Version {
	t.Helper()
	v, err := w.Create(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// settled waits until $LATEST is where it was going.
func (w *world) settled(t testing.TB, fid mayfly.FunctionID) *mayfly.Version {
	t.Helper()
	for {
		v, err := w.Lookup(fid, "")
		if err != nil {
			t.Fatal(err)
		}
		if v.State != mayfly.StatePending && v.LastUpdateStatus != mayfly.UpdateInProgress {
			return v
		}
		if t.Context().Err() != nil {
			t.Fatal("still pending")
		}
		time.Sleep(time.Millisecond) // polled like a client's waiter
	}
}

func wantKind(t *testing.T, err error, kind mayfly.Kind, texts ...string) {
	t.Helper()
	if err == nil || mayfly.KindOf(err) != kind {
		t.Fatalf("error %v (kind %d), want kind %d", err, mayfly.KindOf(err), kind)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func TestCreate(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	in := input(t, "f")
	got := w.create(t, in)
	if got.State != mayfly.StatePending || got.StateReasonCode != "Creating" || got.StateReason != "The function is being created." {
		t.Errorf("state %s %s %q", got.State, got.StateReasonCode, got.StateReason)
	}
	if got.ARN() != "arn:aws:lambda:us-east-1:000000000000:function:f" || got.Version != mayfly.Latest {
		t.Errorf("ARN %s, version %s", got.ARN(), got.Version)
	}
	if got.Code.Size != int64(len(in.Zip)) || len(got.Code.SHA256) != 44 || !blob.ValidDigest(got.Code.Digest) {
		t.Errorf("code %+v", got.Code)
	}
	// What was handed out and what was handed in do not change each other.
	in.Environment["A"] = "changed"
	in.Architectures[0] = "changed"
	in.Vpc.SubnetIDs[0] = "changed"
	v := w.settled(t, in.ID)
	if v.State != mayfly.StateActive || v.StateReason != "" || v.StateReasonCode != "" || v.LastUpdateStatus != mayfly.UpdateSuccessful {
		t.Errorf("settled: %s %q %q %s", v.State, v.StateReason, v.StateReasonCode, v.LastUpdateStatus)
	}
	if got.State != mayfly.StatePending {
		t.Error("a version that was handed out changed")
	}
	if v.Environment["A"] != "1" || v.Architectures[0] != "x86_64" || v.Vpc.SubnetIDs[0] != "subnet-1" {
		t.Errorf("the registry shares memory with its caller: %+v", v)
	}
	dir, err := w.CodeDir(v)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "index.js")); string(b) != "exports.handler = async () => 1" || err != nil {
		t.Errorf("code %q, %v", b, err)
	}
	r, size, err := w.OpenCode(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); !bytes.Equal(b, in.Zip) || size != int64(len(in.Zip)) || err != nil {
		t.Errorf("package of %d bytes, %v", len(b), err)
	}
	if bytes, n := w.Usage(in.ID.Account, in.ID.Region); bytes != size || n != 1 {
		t.Errorf("usage %d bytes, %d functions", bytes, n)
	}
	_, err = w.Create(t.Context(), input(t, "f"))
	wantKind(t, err, mayfly.KindConflict, "Function already exist: f")
}

func TestEverythingSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, function.Options{})
	in := input(t, "f")
	in.Publish = true
	w.create(t, in)
	w.create(t, input(t, "g"))
	w.settled(t, id("f"))
	age := 5
	made, err := w.CreateURL(t.Context(), function.URLInput{Function: id("f"), AuthType: "NONE", CORS: &mayfly.CORS{AllowOrigins: []string{"*"}, MaxAge: &age}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.SetTags(t.Context(), id("f"), map[string]string{"b": "2"}, []string{"team"}); err != nil {
		t.Fatal(err)
	}
	type image struct {
		Versions [][]*mayfly.Version
		Function *mayfly.Function
		URL      *mayfly.URLConfig
		Bytes    int64
	}
	look := func(w *world) (im image) {
		for _, name := range []string{"f", "g"} {
			w.settled(t, id(name))
			vs, err := w.ListVersions(id(name))
			if err != nil {
				t.Fatal(err)
			}
			im.Versions = append(im.Versions, vs)
		}
		if im.Function, err = w.Function(id("f")); err != nil {
			t.Fatal(err)
		}
		if im.URL, err = w.URLByID(made.ID); err != nil {
			t.Fatal(err)
		}
		im.Bytes, _ = w.Usage("000000000000", "us-east-1")
		return im
	}
	before := look(w)
	w.close()
	after := look(open(t, dir, function.Options{}))
	if !reflect.DeepEqual(before, after) {
		t.Errorf("before\n%+v\nafter\n%+v", before, after)
	}
	if !maps.Equal(after.Function.Tags, map[string]string{"b": "2"}) {
		t.Errorf("tags %v", after.Function.Tags)
	}
}

func TestUpdateCode(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	w.create(t, input(t, "f"))
	first := w.settled(t, id("f"))
	var calls atomic.Int64
	w.OnChange(func(got mayfly.FunctionID) {
		if got != id("f") {
			t.Errorf("change of %v", got)
		}
		calls.Add(1)
	})

	_, err := w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "2"), RevisionID: "old"})
	wantKind(t, err, mayfly.KindPrecondition, "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
	_, err = w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: []byte("not a zip")})
	wantKind(t, err, mayfly.KindInvalid, "Could not unzip uploaded file. Please check your file, then try to upload again.")
	_, err = w.UpdateCode(t.Context(), id("g"), function.CodeInput{Zip: handler(t, "2")})
	wantKind(t, err, mayfly.KindNotFound, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:g")

	dry, err := w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "2"), DryRun: true})
	if err != nil || dry.Code.Digest == first.Code.Digest {
		t.Errorf("dry run: %v", err)
	}
	if v, _ := w.Lookup(id("f"), ""); v != first {
		t.Error("a dry run or a failed update changed the function")
	}
	if has, err := w.blobs.Has(t.Context(), dry.Code.Digest); has || err != nil {
		t.Errorf("a dry run stored the package (%v)", err)
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d changes told, none made", n)
	}

	got, err := w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "2"), RevisionID: first.RevisionID, Architectures: []string{"arm64"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.LastUpdateStatus != mayfly.UpdateInProgress || got.LastUpdateReasonCode != "Creating" || got.State != mayfly.StateActive {
		t.Errorf("%s %s %s", got.LastUpdateStatus, got.LastUpdateReasonCode, got.State)
	}
	if got.RevisionID == first.RevisionID || got.Code.Digest != dry.Code.Digest || got.Architectures[0] != "arm64" {
		t.Errorf("answer %+v", got)
	}
	v := w.settled(t, id("f"))
	if v.LastUpdateStatus != mayfly.UpdateSuccessful || v.LastUpdateReason != "" || v.RevisionID != got.RevisionID {
		t.Errorf("settled %+v", v)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d changes told, want 1", n)
	}
	dir, err := w.CodeDir(v)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "index.js")); string(b) != "2" || err != nil {
		t.Errorf("code %q, %v", b, err)
	}
}

func TestUpdateConfig(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	w.create(t, input(t, "f"))
	before := w.settled(t, id("f"))
	timeout, env, none := 9*time.Second, map[string]string{"B": "2"}, ""
	got, err := w.UpdateConfig(t.Context(), id("f"), function.ConfigInput{
		Timeout: &timeout, Environment: &env, Description: &none, Vpc: &mayfly.VpcConfig{},
	})
	if err != nil {
		t.Fatal(err)
	}
	env["B"] = "changed"
	if got.LastUpdateStatus != mayfly.UpdateInProgress {
		t.Errorf("status %s", got.LastUpdateStatus)
	}
	want := *before
	want.Timeout, want.Environment, want.Description, want.Vpc = timeout, map[string]string{"B": "2"}, "", nil
	v := *w.settled(t, id("f"))
	want.RevisionID, want.LastModified = v.RevisionID, v.LastModified
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got\n%+v\nwant\n%+v", v, want)
	}
	if v.RevisionID == before.RevisionID {
		t.Error("the revision did not change")
	}
	_, err = w.UpdateConfig(t.Context(), id("f"), function.ConfigInput{RevisionID: before.RevisionID})
	wantKind(t, err, mayfly.KindPrecondition)
}

func TestList(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	for _, name := range []string{"c", "a", "d", "b"} {
		w.create(t, input(t, name))
	}
	other := input(t, "x")
	other.ID.Region = "eu-west-1"
	w.create(t, other)
	var pages []string
	for after := ""; ; {
		vs, next := w.List("000000000000", "us-east-1", after, 3)
		var names []string
		for _, v := range vs {
			names = append(names, v.ID.Name)
		}
		pages = append(pages, strings.Join(names, ","))
		if after = next; next == "" {
			break
		}
	}
	if !slices.Equal(pages, []string{"a,b,c", "d"}) {
		t.Errorf("pages %q", pages)
	}
	if vs, next := w.List("000000000000", "us-east-1", "", 4); len(vs) != 4 || next != "" {
		t.Errorf("%d functions, next %q", len(vs), next)
	}
}

func TestDelete(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, function.Options{})
	w.create(t, input(t, "f"))
	u, err := w.CreateURL(t.Context(), function.URLInput{Function: id("f"), AuthType: "NONE"})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan mayfly.FunctionID, 1)
	w.OnChange(func(got mayfly.FunctionID) { told <- got })
	wantKind(t, w.Delete(t.Context(), id("f"), mayfly.Latest), mayfly.KindInvalid, "$LATEST version cannot be deleted without deleting the function.")
	if err := w.Delete(t.Context(), id("f"), ""); err != nil {
		t.Fatal(err)
	}
	if got := <-told; got != id("f") {
		t.Errorf("told of %v", got)
	}
	wantKind(t, w.Delete(t.Context(), id("f"), ""), mayfly.KindNotFound, "Function not found")
	_, err = w.Lookup(id("f"), "")
	wantKind(t, err, mayfly.KindNotFound)
	_, err = w.URLByID(u.ID)
	wantKind(t, err, mayfly.KindNotFound)
	if bytes, n := w.Usage("000000000000", "us-east-1"); bytes != 0 || n != 0 {
		t.Errorf("usage %d bytes, %d functions", bytes, n)
	}
	// The same name again is a new function.
	in := input(t, "f")
	in.Tags = nil
	w.create(t, in)
	w.settled(t, id("f"))
	w.close()
	w = open(t, dir, function.Options{})
	fn, err := w.Function(id("f"))
	if err != nil || len(fn.Tags) != 0 {
		t.Errorf("tags %v, %v", fn.Tags, err)
	}
	_, err = w.GetURL(id("f"), "")
	wantKind(t, err, mayfly.KindNotFound)
}

func TestPublish(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	in := input(t, "f")
	in.Publish = true
	if v := w.create(t, in); v.Version != "1" || v.ARN() != "arn:aws:lambda:us-east-1:000000000000:function:f:1" {
		t.Errorf("version %s, %s", v.Version, v.ARN())
	}
	w.settled(t, id("f"))
	v, err := w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "2"), Publish: true})
	if err != nil || v.Version != "2" {
		t.Fatalf("version %v, %v", v, err)
	}
	w.settled(t, id("f"))
	one, err := w.Lookup(id("f"), "1")
	if err != nil || one.State != mayfly.StateActive || one.Code.Digest == v.Code.Digest {
		t.Errorf("version 1: %+v, %v", one, err)
	}
	if err := w.Delete(t.Context(), id("f"), "2"); err != nil {
		t.Fatal(err)
	}
	_, err = w.Lookup(id("f"), "2")
	wantKind(t, err, mayfly.KindNotFound, "function:f:2")
	if v, err := w.UpdateCode(t.Context(), id("f"), function.CodeInput{Zip: handler(t, "3"), Publish: true}); err != nil || v.Version != "3" {
		t.Errorf("version %v, %v: numbers are not reused", v, err)
	}
	vs, err := w.ListVersions(id("f"))
	if err != nil || len(vs) != 3 || vs[0].Version != mayfly.Latest || vs[1].Version != "1" || vs[2].Version != "3" {
		t.Errorf("versions %v, %v", vs, err)
	}
}

func TestTags(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	w.create(t, input(t, "f"))
	before, err := w.Function(id("f"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.SetTags(t.Context(), id("f"), map[string]string{"a": "1", "team": "b"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.SetTags(t.Context(), id("f"), nil, []string{"a", "none"}); err != nil {
		t.Fatal(err)
	}
	fn, err := w.Function(id("f"))
	if err != nil || !maps.Equal(fn.Tags, map[string]string{"team": "b"}) {
		t.Errorf("tags %v, %v", fn.Tags, err)
	}
	if before.Tags["team"] != "a" {
		t.Error("tags that were handed out changed")
	}
	many := map[string]string{}
	for i := range 50 {
		many[strings.Repeat("k", i+1)] = "v"
	}
	wantKind(t, w.SetTags(t.Context(), id("f"), many, nil), mayfly.KindInvalid, "Number of tags exceeds resource tag limit.")
	wantKind(t, w.SetTags(t.Context(), id("g"), nil, nil), mayfly.KindNotFound)
}

func TestURLs(t *testing.T) {
	w := open(t, t.TempDir(), function.Options{})
	_, err := w.CreateURL(t.Context(), function.URLInput{Function: id("f"), AuthType: "NONE"})
	wantKind(t, err, mayfly.KindNotFound, "Function does not exist")
	w.create(t, input(t, "f"))
	u, err := w.CreateURL(t.Context(), function.URLInput{Function: id("f"), AuthType: "NONE", CORS: &mayfly.CORS{AllowOrigins: []string{"*"}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(u.ID) != 32 || strings.Trim(u.ID, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || u.InvokeMode != "BUFFERED" {
		t.Errorf("URL %+v", u)
	}
	_, err = w.CreateURL(t.Context(), function.URLInput{Function: id("f"), AuthType: "NONE"})
	wantKind(t, err, mayfly.KindConflict, "Failed to create function url config for [functionArn = arn:aws:lambda:us-east-1:000000000000:function:f]. Error message:  FunctionUrlConfig exists for this Lambda function")
	_, err = w.CreateURL(t.Context(), function.URLInput{Function: id("f"), Qualifier: "live", AuthType: "NONE"})
	wantKind(t, err, mayfly.KindNotFound)

	iam := "AWS_IAM"
	changed, err := w.UpdateURL(t.Context(), id("f"), "", function.URLUpdate{AuthType: &iam})
	if err != nil || changed.AuthType != iam || changed.CORS == nil || changed.ID != u.ID {
		t.Errorf("changed %+v, %v", changed, err)
	}
	if u.AuthType != "NONE" {
		t.Error("a URL that was handed out changed")
	}
	changed, err = w.UpdateURL(t.Context(), id("f"), "", function.URLUpdate{CORS: &mayfly.CORS{}})
	if err != nil || changed.CORS != nil {
		t.Errorf("changed %+v, %v", changed, err)
	}
	if got, err := w.URLByID(u.ID); got != changed || err != nil {
		t.Errorf("by id %+v, %v", got, err)
	}
	if got, err := w.GetURL(id("f"), ""); got != changed || err != nil {
		t.Errorf("by function %+v, %v", got, err)
	}
	if us, next, err := w.ListURLs(id("f"), "", 10); len(us) != 1 || next != "" || err != nil {
		t.Errorf("list %v %q %v", us, next, err)
	}
	if us, next, err := w.ListURLs(id("f"), u.ID, 10); len(us) != 0 || next != "" || err != nil {
		t.Errorf("list after the last: %v %q %v", us, next, err)
	}
	if err := w.DeleteURL(t.Context(), id("f"), ""); err != nil {
		t.Fatal(err)
	}
	wantKind(t, w.DeleteURL(t.Context(), id("f"), ""), mayfly.KindNotFound, "The resource you requested does not exist.")
	_, err = w.UpdateURL(t.Context(), id("f"), "", function.URLUpdate{})
	wantKind(t, err, mayfly.KindNotFound)
	if _, err := w.CreateURL(t.Context(), function.URLInput{Function: id("f"), AuthType: "NONE"}); err != nil {
		t.Errorf("after deleting: %v", err)
	}
}

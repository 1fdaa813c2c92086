package lambda_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/lambda"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

const requestID = "11111111-2222-4333-8444-555555555555"

// newZip makes a small deployment package, the same one each time.
func newZip(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: "index.js", Method: zip.Store})
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type server struct {
	http.Handler
	invoker *echo
	lambda  *lambda.Service
}

func newServer(functions lambda.Functions) *server {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := new(echo)
	s := lambda.New(lambda.Options{
		Functions: functions, Invoker: e, Runtimes: fewRuntimes{}, Roles: goodRoles{}, Architecture: "x86_64",
		URLFor: func(u *mayfly.URLConfig, r *http.Request) string {
			return "http://" + u.ID + ".lambda-url." + u.Function.Region + "." + r.Host + "/"
		},
		LinkKey: []byte("key"), Now: func() time.Time { return now },
	})
	router := awswire.NewRouter(awswire.RouterOptions{Services: []awswire.ServiceHandler{s}, NewRequestID: func() string { return requestID }})
	mux := http.NewServeMux()
	mux.Handle(lambda.CodePath, s.CodeHandler())
	mux.Handle("/", router)
	return &server{Handler: mux, invoker: e, lambda: s}
}

// TestGolden plays each file of testdata against a fresh service. A file is a sequence of requests (method and path,
// headers, an empty line, a body of one line) and their answers, apart by lines of dashes:
//
//	POST /2015-03-31/functions
//
//	{"FunctionName":"f", …}
//	----
//	201
//	Content-Type: application/json
//
//	{…}
//	====
//
// $ZIP1 and $ZIP2 in a request stand for packages in base64. Rewrite the answers with -update and read the difference.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	zips := strings.NewReplacer("$ZIP1", base64.StdEncoding.EncodeToString(newZip(t, "one")),
		"$ZIP2", base64.StdEncoding.EncodeToString(newZip(t, "two")))
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h := newServer(newFake())
			var out strings.Builder
			for block := range strings.SplitSeq(string(text), "\n====\n") {
				if strings.TrimSpace(block) == "" {
					continue
				}
				request, want, _ := strings.Cut(block, "\n----\n")
				got := play(t, h, zips.Replace(request))
				if !*update && got != strings.TrimSpace(want) {
					t.Errorf("%s\ngot:\n%s\nwant:\n%s", request, got, strings.TrimSpace(want))
				}
				fmt.Fprintf(&out, "%s\n----\n%s\n====\n", strings.TrimSpace(request), got)
			}
			if *update {
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func play(t *testing.T, h http.Handler, request string) string {
	t.Helper()
	head, body, _ := strings.Cut(strings.TrimSpace(request), "\n\n")
	lines := bufio.NewScanner(strings.NewReader(head))
	lines.Scan()
	method, path, ok := strings.Cut(lines.Text(), " ")
	if !ok {
		t.Fatalf("not a request: %q", request)
	}
	r := httptest.NewRequest(method, "http://localhost:4566"+path, strings.NewReader(body))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var names []string
	for name := range w.Header() {
		if name != "X-Amzn-Requestid" && name != "Content-Length" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	out := fmt.Sprintf("%d\n", w.Code)
	for _, name := range names {
		if name == "X-Amzn-Trace-Id" && r.Header.Get(name) == "" {
			continue // random
		}
		out += name + ": " + strings.Join(w.Header()[name], ", ") + "\n"
	}
	return strings.TrimSpace(out + "\n" + w.Body.String())
}

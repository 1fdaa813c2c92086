package lambda

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mayfly"
)

// CodePath is where CodeHandler is to be mounted.
const CodePath = "/_mayfly/code/"

// codeLinkLife is how long Code.Location can be fetched, as on Lambda.
const codeLinkLife = 10 * time.Minute

// codeLocation is a link to a version's package on the address that the client used for r.
func (s *Service) codeLocation(r *http.Request, v *mayfly.Version) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	path := CodePath + v.ID.Account + "/" + v.ID.Region + "/" + v.ID.Name + "/" + v.Version + "/" + v.Code.Digest
	expires := strconv.FormatInt(s.options.Now().Add(codeLinkLife).Unix(), 10)
	// A bare $LATEST would be a variable in the shell that the link is pasted into.
	return scheme + "://" + r.Host + strings.ReplaceAll(path, "$", "%24") + "?" + url.Values{"Expires": {expires}, "Signature": {s.linkSignature(path, expires)}}.Encode()
}

func (s *Service) linkSignature(path, expires string) string {
	mac := hmac.New(sha256.New, s.options.LinkKey)
	mac.Write([]byte(path + "\n" + expires))
	return hex.EncodeToString(mac.Sum(nil))
}

// CodeHandler serves the links that GetFunction hands out. Mount it at CodePath; it needs no other authentication, as the
// link is signed and expires.
func (s *Service) CodeHandler() http.Handler { return http.HandlerFunc(s.serveCode) }

func (s *Service) serveCode(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed", http.StatusMethodNotAllowed)
		return
	}
	query := r.URL.Query()
	expires := query.Get("Expires")
	want := s.linkSignature(r.URL.Path, expires)
	if !hmac.Equal([]byte(want), []byte(query.Get("Signature"))) {
		http.Error(w, "the link's signature is wrong", http.StatusForbidden)
		return
	}
	if at, err := strconv.ParseInt(expires, 10, 64); err != nil || s.options.Now().Unix() > at {
		http.Error(w, "the link has expired; call GetFunction for a new one", http.StatusForbidden)
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, CodePath), "/")
	if len(parts) != 5 {
		http.NotFound(w, r)
		return
	}
	v, err := s.options.Functions.Lookup(mayfly.FunctionID{Account: parts[0], Region: parts[1], Name: parts[2]}, parts[3])
	if err != nil || v.Code.Digest != parts[4] {
		http.Error(w, "the function is gone or has other code now; call GetFunction for a new link", http.StatusNotFound)
		return
	}
	code, size, err := s.options.Functions.OpenCode(r.Context(), v)
	if err != nil {
		http.Error(w, "the package cannot be read; the server's log has the cause", http.StatusInternalServerError)
		s.log().Error("open a function's package", "function", v.ARN(), "error", err)
		return
	}
	defer code.Close()
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Content-Disposition", `attachment; filename="`+v.ID.Name+`.zip"`)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := io.Copy(w, code); err != nil {
		// The headers are out: cut the connection, so that the client does not take a part for the whole.
		s.log().Warn("sending a function's package", "function", v.ARN(), "error", err)
		panic(http.ErrAbortHandler)
	}
}

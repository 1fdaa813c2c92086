// Package console serves Mayfly's own pages and endpoints under /_mayfly/: health, metrics, and the JSON that the CLI reads
// (bill, logs, runtimes, instances, invocations).
package console

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"mayfly"
	"mayfly/function"
	"mayfly/meter"
	"mayfly/pool"
	"mayfly/sandbox/bootstrap"
	"mayfly/telemetry"
)

// Prefix is the path that everything here lives under.
const Prefix = "/_mayfly/"

// Options are the services that the console reads. All are required but Guard.
type Options struct {
	Version   string
	Account   string // of requests that name none
	Region    string
	Functions *function.Registry
	Journal   *meter.Journal
	Prices    *meter.Book
	Pool      *pool.Pool
	Runtimes  *bootstrap.Catalog
	Logs      *telemetry.LogStore
	Metrics   *telemetry.Metrics
	Log       *slog.Logger
	Isolation string
	Closing   <-chan struct{} // closed when the server stops: streams end

	// Guard says who asks: the account, or an error when the request may not read anything but health. nil lets all in
	// and uses Account.
	Guard func(r *http.Request) (account string, err error)
}

// Console is an http.Handler for everything under Prefix.
type Console struct {
	Options
	mux *http.ServeMux
}

// New makes a Console.
func New(o Options) *Console {
	c := &Console{Options: o, mux: http.NewServeMux()}
	c.mux.HandleFunc("GET /_mayfly/health", c.health)
	c.mux.HandleFunc("GET /_mayfly/metrics", c.guarded(func(w http.ResponseWriter, r *http.Request, _ string) error {
		c.Metrics.Handler().ServeHTTP(w, r)
		return nil
	}))
	c.mux.HandleFunc("GET /_mayfly/api/bill", c.guarded(c.bill))
	c.mux.HandleFunc("GET /_mayfly/api/logs", c.guarded(c.logs))
	c.mux.HandleFunc("GET /_mayfly/api/runtimes", c.guarded(c.runtimes))
	c.mux.HandleFunc("GET /_mayfly/api/instances", c.guarded(c.instances))
	c.mux.HandleFunc("GET /_mayfly/api/invocations", c.guarded(c.invocations))
	c.mux.HandleFunc("GET /_mayfly/{$}", c.index)
	c.mux.HandleFunc("/_mayfly/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "there is no "+r.Method+" "+r.URL.Path+"; see docs/cli.md for Mayfly's own endpoints")
	})
	return c
}

func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

type handler func(w http.ResponseWriter, r *http.Request, account string) error

func (c *Console) guarded(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		account := c.Account
		if c.Guard != nil {
			a, err := c.Guard(r)
			if err != nil {
				w.Header().Set("WWW-Authenticate", `Basic realm="mayfly"`)
				writeError(w, http.StatusUnauthorized, err.Error())
				return
			}
			account = a
		}
		if err := h(w, r, account); err != nil {
			status := http.StatusInternalServerError
			switch mayfly.KindOf(err) {
			case mayfly.KindInvalid:
				status = http.StatusBadRequest
			case mayfly.KindNotFound:
				status = http.StatusNotFound
			default:
				c.Log.Error("console request failed", "path", r.URL.Path, "error", err)
			}
			writeError(w, status, err.Error())
		}
	}
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // the client is gone: nobody to tell
	return nil
}

func writeError(w http.ResponseWriter, status int, message string) {
	b, _ := json.Marshal(map[string]string{"message": message}) // a string always encodes
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client is gone: nobody to tell
}

func (c *Console) health(w http.ResponseWriter, _ *http.Request) {
	_ = writeJSON(w, map[string]string{"status": "ok", "version": c.Version, "isolation": c.Isolation})
}

func (c *Console) index(w http.ResponseWriter, _ *http.Request) {
	_ = writeJSON(w, map[string]any{"mayfly": c.Version, "endpoints": []string{"/_mayfly/health", "/_mayfly/metrics",
		"/_mayfly/api/bill", "/_mayfly/api/logs", "/_mayfly/api/runtimes", "/_mayfly/api/instances", "/_mayfly/api/invocations"}})
}

func day(r *http.Request, name string, fallback time.Time) (string, error) {
	s := r.FormValue(name)
	if s == "" {
		return fallback.UTC().Format(time.DateOnly), nil
	}
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return "", mayfly.Errorf(mayfly.KindInvalid, "%s=%q is not a day: write 2006-01-02", name, s)
	}
	return s, nil
}

// bill answers the costs from one day to another; without days, those of the month so far.
func (c *Console) bill(w http.ResponseWriter, r *http.Request, account string) error {
	now := time.Now().UTC()
	from, err := day(r, "from", time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		return err
	}
	to, err := day(r, "to", now)
	if err != nil {
		return err
	}
	days, err := c.Journal.Days(r.Context(), account, from, to)
	if err != nil {
		return err
	}
	var known []string
	for after := ""; ; {
		vs, next := c.Functions.List(account, c.region(r), after, 1000)
		for _, v := range vs {
			known = append(known, v.ID.Name)
		}
		if next == "" {
			break
		}
		after = next
	}
	return writeJSON(w, meter.NewBill(days, known, c.Prices))
}

func (c *Console) region(r *http.Request) string {
	if s := r.FormValue("region"); s != "" {
		return s
	}
	return c.Region
}

// logs answers a function's stored lines and, with follow=1, those to come, one JSON object a line.
func (c *Console) logs(w http.ResponseWriter, r *http.Request, account string) error {
	id := mayfly.FunctionID{Account: account, Region: c.region(r), Name: r.FormValue("function")}
	if id.Name == "" {
		return mayfly.Errorf(mayfly.KindInvalid, "name the function: ?function=NAME")
	}
	if _, err := c.Functions.Function(id); err != nil {
		return err
	}
	var since time.Time
	if s := r.FormValue("since"); s != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, s); err != nil {
			return mayfly.Errorf(mayfly.KindInvalid, "since=%q is not a time: write 2006-01-02T15:04:05Z", s)
		}
	}
	request := r.FormValue("request")
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	rc := http.NewResponseController(w)
	send := func(l telemetry.Line) error {
		if request != "" && l.RequestID != request {
			return nil
		}
		return enc.Encode(l)
	}
	if r.FormValue("follow") == "" {
		return c.ended(c.Logs.Read(id, since, send))
	}
	// Subscribe first and read afterwards, so that no line falls between the two.
	live, stop := c.Logs.Subscribe(id)
	defer stop()
	var last time.Time
	err := c.Logs.Read(id, since, func(l telemetry.Line) error {
		last = l.Time
		return send(l)
	})
	if err != nil {
		return c.ended(err)
	}
	_ = rc.Flush() // a connection that cannot flush still gets the lines
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-c.Closing:
			return nil
		case l := <-live:
			if !l.Time.After(last) {
				continue // read from the file already
			}
			if err := send(l); err != nil {
				return nil // the client is gone
			}
			_ = rc.Flush()
		}
	}
}

// ended tells a client that went away, which is nobody's error, from a log that cannot be read.
func (c *Console) ended(err error) error {
	if err != nil && !errors.Is(err, context.Canceled) {
		c.Log.Warn("function log not sent whole", "error", err)
	}
	return nil
}

func (c *Console) runtimes(w http.ResponseWriter, _ *http.Request, _ string) error {
	type runtime struct {
		Name     string `json:"name"`
		Version  string `json:"version,omitempty"`
		Path     string `json:"path,omitempty"`
		Source   string `json:"source,omitempty"`
		MappedTo string `json:"mappedTo,omitempty"`
	}
	out := []runtime{}
	for _, rt := range c.Runtimes.List() {
		out = append(out, runtime{Name: rt.Name, Version: rt.Version, Path: rt.Path, Source: rt.Source})
	}
	for _, asked := range slices.Sorted(maps.Keys(c.Runtimes.Mapping())) {
		out = append(out, runtime{Name: asked, MappedTo: c.Runtimes.Mapping()[asked]})
	}
	return writeJSON(w, out)
}

func (c *Console) instances(w http.ResponseWriter, _ *http.Request, account string) error {
	out := []pool.Info{}
	for _, i := range c.Pool.Instances() {
		if i.Account == account {
			out = append(out, i)
		}
	}
	return writeJSON(w, out)
}

func (c *Console) invocations(w http.ResponseWriter, r *http.Request, account string) error {
	limit := 100
	if s := r.FormValue("limit"); s != "" {
		var err error
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > 10_000 {
			return mayfly.Errorf(mayfly.KindInvalid, "limit=%q is not a number from 1 to 10000", s)
		}
	}
	records, err := c.Journal.Records(r.Context(), meter.Query{Account: account, Function: r.FormValue("function"),
		RequestID: r.FormValue("request"), Limit: limit})
	if err != nil {
		return err
	}
	type phases struct {
		Queued  float64 `json:"queuedMs"`
		Sandbox float64 `json:"sandboxMs"`
		Init    float64 `json:"initMs"`
		Handler float64 `json:"handlerMs"`
	}
	type record struct {
		RequestID   string    `json:"requestId"`
		Function    string    `json:"function"`
		Version     string    `json:"version"`
		At          time.Time `json:"at"`
		Status      string    `json:"status"`
		ErrorType   string    `json:"errorType,omitempty"`
		Cold        bool      `json:"cold"`
		BilledMS    int64     `json:"billedMs"`
		MemoryMB    int       `json:"memoryMB"`
		MaxMemoryMB int       `json:"maxMemoryMB"`
		Phases      phases    `json:"phases"`
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	out := []record{}
	for _, u := range records {
		out = append(out, record{u.RequestID, u.Function.Name, u.Version, u.At, u.Status, u.ErrorType, u.Cold, u.BilledMS,
			u.MemoryMB, u.MaxMemoryMB, phases{ms(u.Phases.Queued), ms(u.Phases.Sandbox), ms(u.Phases.Init), ms(u.Phases.Handler)}})
	}
	return writeJSON(w, out)
}

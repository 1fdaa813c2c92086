package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/sigv4"
	"mayfly/api/iam"
	"mayfly/api/lambda"
	"mayfly/api/sts"
	"mayfly/blob/disk"
	"mayfly/console"
	"mayfly/eventsource/httpgateway"
	"mayfly/function"
	"mayfly/identity"
	"mayfly/invoke"
	"mayfly/meter"
	"mayfly/pool"
	"mayfly/sandbox"
	"mayfly/sandbox/bootstrap"
	"mayfly/sandbox/native"
	"mayfly/sandbox/process"
	"mayfly/store"
	"mayfly/store/sqlite"
	"mayfly/telemetry"
)

func newServeCommand(version string) *cobra.Command {
	var c config
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Args:  cobra.NoArgs,
		Long: `Run the server. Every flag is also an environment variable (--idle-timeout is MAYFLY_IDLE_TIMEOUT) and a key of the
configuration file (idle-timeout = "15m").`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				file = os.Getenv("MAYFLY_CONFIG")
			}
			if err := fill(cmd.Flags(), file); err != nil {
				return err
			}
			if err := c.validate(); err != nil {
				return err
			}
			return serve(cmd.Context(), version, &c)
		},
	}
	c.flags(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", "", "configuration file (TOML)")
	return cmd
}

// server is everything that runs, in the order in which it came up. Close takes it down in the reverse order.
type server struct {
	config *config
	log    *slog.Logger

	db       store.DB
	registry *function.Registry
	identity *identity.Service
	logs     *telemetry.LogStore
	metrics  *telemetry.Metrics
	journal  *meter.Journal
	driver   sandbox.Driver
	runtimes *bootstrap.Catalog
	pool     *pool.Pool
	invoker  *invoke.Invoker
	auth     *sigv4.Authenticator
	listener net.Listener
	front    *http.Server  // for clients outside
	inner    *http.Server  // for functions, on a listener inside each sandbox
	linkKey  []byte        // signs links to code packages
	collect  *time.Timer   // fires once functions have been left alone for a while after a change
	rounds   atomic.Int32  // of collecting still to do
	closing  chan struct{} // closed when the server begins to stop
}

func serve(ctx context.Context, version string, c *config) error {
	log, err := telemetry.NewLogger(os.Stderr, c.logFormat, c.logLevel)
	if err != nil {
		return err
	}
	began := time.Now()
	s := &server{config: c, log: log, closing: make(chan struct{})}
	if err := s.open(ctx, version); err != nil {
		s.close()
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- s.front.Serve(s.listener) }()
	log.Info("mayfly is ready", "url", "http://"+s.listener.Addr().String(), "version", version, "data", c.data,
		"isolation", c.isolation, "signatures", len(c.keys) > 0, "took", time.Since(began).Round(time.Millisecond))

	select {
	case err = <-failed:
		log.Error("the listener failed", "error", err)
	case <-ctx.Done():
		log.Info("stopping: invocations under way may end", "limit", c.drainTimeout)
		err = nil
	}
	s.drain()
	return errors.Join(err, s.close())
}

// open brings everything up, what others need first.
func (s *server) open(ctx context.Context, version string) (err error) {
	c, log := s.config, s.log
	if err := os.MkdirAll(c.data, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	prices, err := meter.LoadBook(c.prices)
	if err != nil {
		return err
	}
	// The database's lock also guards the data directory: from here on this process is the only one that uses it.
	if s.db, err = sqlite.Open(ctx, filepath.Join(c.data, "mayfly.db"), sqlite.Options{}); err != nil {
		return err
	}
	if s.driver, err = openDriver(c, log); err != nil {
		return err
	}
	swept, err := s.driver.Sweep(ctx)
	if err != nil {
		return fmt.Errorf("what an earlier process left behind cannot be removed: %w", err)
	}
	if swept > 0 {
		log.Warn("removed what an earlier process left behind", "sandboxes", swept)
	}
	added, err := readRuntimes(c.data)
	if err != nil {
		return err
	}
	s.runtimes, err = bootstrap.Discover(ctx, bootstrap.Options{DataDir: c.data, Added: added, Map: c.runtimeMap, Log: log})
	if err != nil {
		return err
	}
	go func() { // cold starts are quicker once it is done; nothing waits for it
		if err := s.runtimes.Compile(ctx); err != nil {
			log.Warn("the Python bootstrap cannot be compiled ahead", "error", err)
		}
	}()
	for from, to := range c.runtimeMap {
		log.Warn("a runtime is mapped to another", "asked", from, "runs", to)
	}

	limits := mayfly.DefaultLimits()
	limits.ConcurrentExecutions = c.concurrency
	limits.RequestsPerConcurrency = c.requestRate
	limits.UnreservedMinimum = min(limits.UnreservedMinimum, c.concurrency)

	master, err := identity.LoadMasterKey(filepath.Join(c.data, "master.key"))
	if err != nil {
		return err
	}
	if s.linkKey, err = hkdf.Key(sha256.New, master, nil, "links to code packages", 32); err != nil {
		return err
	}
	if s.identity, err = identity.Open(ctx, identity.Options{DB: s.db, AccessKeys: c.keys, MasterKey: master}); err != nil {
		return err
	}
	blobs, err := disk.Open(filepath.Join(c.data, "blobs"))
	if err != nil {
		return err
	}
	s.registry, err = function.Open(ctx, function.Options{DB: s.db, Blobs: blobs, CodeDir: filepath.Join(c.data, "code"),
		CollectGrace: collectGrace, Limits: limits, Log: log})
	if err != nil {
		return err
	}
	if s.logs, err = telemetry.OpenLogStore(telemetry.LogStoreOptions{Dir: filepath.Join(c.data, "logs"), Log: log}); err != nil {
		return err
	}
	s.journal = meter.OpenJournal(meter.JournalOptions{DB: s.db, Log: log})
	s.metrics = telemetry.NewMetrics()

	if c.isolation == "none" {
		c.shells = 0 // nothing to gain
	}
	s.pool = pool.New(pool.Options{
		Driver: s.driver, Runtimes: s.runtimes, Code: s.registry, Metrics: s.metrics, Log: log, Limits: limits,
		IdleTimeout: c.idleTimeout, FreezeAfter: c.freezeAfter, Egress: c.policy, Shells: c.shells, ShellMemory: int64(c.shellMemory) << 20,
		Emit: s.logs.Append, Record: s.journal.Record, Credentials: s.credentials,
		FrontDoor: func(l net.Listener) { _ = s.inner.Serve(l) }, // ends with the sandbox's listener
	})
	s.collect = time.AfterFunc(collectAfter, s.collectCode)
	s.collectLater()
	s.invoker = invoke.New(invoke.Options{Pool: s.pool, Metrics: s.metrics, Limits: limits, Log: log, Reservations: s.registry})

	if s.listener, err = net.Listen("tcp", c.listen); err != nil {
		return fmt.Errorf("%w; is another Mayfly running? choose another address with --listen", err)
	}
	s.serveHTTP(version, limits, prices)
	s.registry.OnChange(s.changed)
	for _, id := range s.registry.ProvisionedFunctions() { // their instances need the front door
		s.provision(id)
	}
	return nil
}

func openDriver(c *config, log *slog.Logger) (sandbox.Driver, error) {
	if c.isolation == "none" {
		return process.New(log), nil
	}
	return native.New(native.Options{DataDir: c.data, Log: log, CgroupRoot: c.cgroupRoot, UIDBase: c.uidBase,
		Resolvers: c.resolvers, EgressPool: c.pool, EgressDeny: c.deny})
}

// collectAfter is how long after the last change unused packages are looked for. It takes two rounds: the first notes
// what is unused, the second removes what still is.
const (
	collectAfter = time.Minute
	collectGrace = 5 * time.Minute
)

func (s *server) collectLater() {
	s.rounds.Store(2)
	s.collect.Reset(collectAfter)
}

func (s *server) collectCode() {
	if err := s.registry.Collect(context.Background(), s.pool.InUse); err != nil {
		s.log.Warn("unused code packages cannot be removed", "error", err)
	}
	if s.rounds.Add(-1) > 0 {
		s.collect.Reset(collectGrace + time.Second)
	}
}

// changed retires the instances that no longer run what the registry says.
func (s *server) changed(id mayfly.FunctionID) {
	s.collectLater()
	if _, err := s.registry.Function(id); mayfly.KindOf(err) == mayfly.KindNotFound && err != nil {
		s.metrics.Forget(id.Name)
	}
	if v, err := s.registry.Lookup(id, ""); err == nil {
		s.pool.Expect(v)
	}
	s.provision(id) // first, so that what is dropped is not made again
	s.pool.Drop(id, func(version, revision string) bool {
		v, err := s.registry.Lookup(id, version)
		return err == nil && v.RevisionID == revision
	})
}

// credentials are those of the execution role, as an instance's environment has them. They outlive the instance's
// longest life by far: Lambda renews them by replacing instances, and so does Mayfly after a day.
func (s *server) credentials(v *mayfly.Version, instance string) map[string]string {
	cr := s.identity.SessionCredentials(v.Role, v.ID.Name, 36*time.Hour)
	return map[string]string{
		"AWS_ACCESS_KEY_ID":     cr.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": cr.SecretAccessKey,
		"AWS_SESSION_TOKEN":     cr.SessionToken,
	}
}

// close takes down what open brought up, latest first. It copes with a half-open server.
func (s *server) close() error {
	var errs []error
	add := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	if s.front != nil {
		add("front door", s.front.Close())
	} else if s.listener != nil {
		add("listener", s.listener.Close())
	}
	if s.collect != nil {
		s.collect.Stop()
	}
	if s.pool != nil { // every instance goes: processes, control groups, mounts, namespaces
		add("instances", s.pool.Close())
	}
	if s.inner != nil {
		add("inner front door", s.inner.Close())
	}
	if s.driver != nil {
		add("sandboxes", s.driver.Close())
	}
	if s.journal != nil { // after the last invocation has been recorded
		add("usage records", s.journal.Close())
	}
	if s.logs != nil {
		add("function logs", s.logs.Close())
	}
	if s.registry != nil {
		add("functions", s.registry.Close())
	}
	if s.db != nil {
		add("database", s.db.Close())
	}
	return errors.Join(errs...)
}

// drain stops taking requests and lets invocations under way end, for as long as the configuration says.
func (s *server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.drainTimeout)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM) // a second signal cuts it short
	defer stop()
	close(s.closing)
	if err := s.front.Shutdown(ctx); err != nil {
		s.log.Warn("requests were cut off", "error", err)
	}
	if err := s.invoker.Drain(ctx); err != nil {
		s.log.Warn("invocations were cut off", "error", err)
	}
}

// serveHTTP puts the front door together: Mayfly's own pages by path, function URLs by host or path, and everything else
// to the AWS services.
func (s *server) serveHTTP(version string, limits mayfly.Limits, prices *meter.Book) {
	c := s.config
	s.auth = sigv4.NewAuthenticator(sigv4.Options{Source: s.identity, Account: c.account, Log: s.log,
		Trusted: func(r *http.Request) bool { return !fromSandbox(r) && sigv4.Loopback(r) }})
	urls := httpgateway.New(httpgateway.Options{Invoker: s.invoker, URLs: s.registry, Authenticate: s.auth.FunctionURL, Log: s.log})
	functions := lambda.New(lambda.Options{
		Functions: s.registry, Invoker: s.invoker, Runtimes: runtimesOf{s.runtimes}, Limits: limits, Log: s.log,
		URLFor: s.functionURL, LinkKey: s.linkKey, Allocations: s,
	})
	router := awswire.NewRouter(awswire.RouterOptions{
		Services: []awswire.ServiceHandler{functions, iam.New(iam.Options{Identity: s.identity, Log: s.log}), sts.New(sts.Options{Identity: s.identity, Log: s.log})},
		Auth:     s.auth, Region: c.region, Account: c.account, Log: s.log,
	})
	pages := console.New(console.Options{
		Version: version, Account: c.account, Region: c.region, Functions: s.registry, Journal: s.journal, Prices: prices,
		Pool: s.pool, Runtimes: s.runtimes, Logs: s.logs, Metrics: s.metrics, Log: s.log, Isolation: c.isolation,
		Guard: s.guard, Closing: s.closing,
	})
	mux := http.NewServeMux()
	mux.Handle(console.Prefix, pages)
	mux.Handle(lambda.CodePath, functions.CodeHandler())
	door := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// ServeMux cleans paths by redirect, which AWS clients and functions do not expect: only Mayfly's own pages go
		// through it.
		switch {
		case urls.Match(r):
			urls.ServeURL(w, r)
		case strings.HasPrefix(r.URL.Path, lambda.CodePath) && fromSandbox(r):
			// Policies are not enforced yet: a role must not be a way to other functions' code.
			http.Error(w, "functions may not download code packages", http.StatusForbidden)
		case strings.HasPrefix(r.URL.Path, console.Prefix):
			mux.ServeHTTP(w, r)
		default:
			router.ServeHTTP(w, r)
		}
	})
	errorLog := slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	s.front = &http.Server{Handler: door, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 3 * time.Minute, ErrorLog: errorLog}
	s.inner = &http.Server{Handler: door, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 3 * time.Minute, ErrorLog: errorLog,
		BaseContext: func(net.Listener) context.Context { return context.WithValue(context.Background(), sandboxKey{}, true) }}
}

// sandboxKey marks the context of requests that came in through a sandbox's own front door.
type sandboxKey struct{}

// fromSandbox tells whether a function sent the request. Functions have credentials of their role and must sign with
// them, always: the trust in this machine's users does not extend to the code they run.
func fromSandbox(r *http.Request) bool { return r.Context().Value(sandboxKey{}) != nil }

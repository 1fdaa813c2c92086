package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"

	"mayfly"
	"mayfly/identity"
	"mayfly/sandbox"
)

// config is everything that `mayfly serve` can be told. Each field is a flag, an environment variable (MAYFLY_ and the
// flag's name in capitals) and a key of the configuration file (the flag's name); the first of these that is there wins.
type config struct {
	listen       string
	data         string
	idleTimeout  time.Duration
	freezeAfter  time.Duration
	drainTimeout time.Duration
	isolation    string
	logLevel     string
	logFormat    string
	region       string
	account      string
	accessKeys   []string
	egress       string
	egressPool   string
	egressDeny   []string
	resolvers    []string
	concurrency  int
	shells       int
	shellMemory  int
	requestRate  int
	mapRuntimes  []string
	prices       string
	domain       string
	cgroupRoot   string
	uidBase      uint32

	// Worked out by validate.
	keys       []identity.AccessKey
	policy     sandbox.Egress
	pool       netip.Prefix
	deny       []netip.Prefix
	runtimeMap map[string]string
}

func (c *config) flags(f *pflag.FlagSet) {
	f.StringVar(&c.listen, "listen", "127.0.0.1:4566", "address to listen on; anything but loopback needs --access-key")
	f.StringVar(&c.data, "data", defaultDataDir(), "folder that everything is kept in")
	f.DurationVar(&c.idleTimeout, "idle-timeout", 15*time.Minute, "how long an idle instance is kept")
	f.DurationVar(&c.freezeAfter, "freeze-after", 100*time.Millisecond, "how long an instance is idle before its processes are stopped until the next call; 0 is never")
	f.DurationVar(&c.drainTimeout, "drain-timeout", 30*time.Second, "how long a stop waits for invocations under way")
	f.StringVar(&c.isolation, "isolation", "native", "what confines instances: native, or none (for development only)")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
	f.StringVar(&c.region, "region", "us-east-1", "region of requests that name none")
	f.StringVar(&c.account, "account", "000000000000", "account of requests that name none")
	f.StringArrayVar(&c.accessKeys, "access-key", nil, "ID:SECRET or ID:SECRET:ACCOUNT that may sign requests; with one, every request must be signed (repeatable)")
	f.StringVar(&c.egress, "egress", "internet", "what functions reach by default: none, internet, or CIDRs (10.1.0.0/16,internet)")
	f.StringVar(&c.egressPool, "egress-pool", "", "network that sandboxes with egress get their addresses from (default 100.96.0.0/12)")
	f.StringArrayVar(&c.egressDeny, "egress-deny", nil, "CIDR that functions must not reach, beside the private ones (repeatable)")
	f.StringArrayVar(&c.resolvers, "resolver", nil, "DNS server that functions' look-ups go to (repeatable; default: those of /etc/resolv.conf)")
	f.IntVar(&c.concurrency, "concurrency", mayfly.DefaultLimits().ConcurrentExecutions, "concurrent executions per account")
	f.IntVar(&c.requestRate, "requests-per-concurrency", mayfly.DefaultLimits().RequestsPerConcurrency, "requests per second for each unit of concurrency; 0 is any number")
	f.IntVar(&c.shells, "shells", 2, "sandboxes kept ready for each runtime (Node.js: and memory size) in use; 0 is none")
	f.IntVar(&c.shellMemory, "shell-memory", 256, "MB that all sandboxes kept ready may hold together")
	f.StringArrayVar(&c.mapRuntimes, "map-runtime", nil, "run one runtime on another that is present: python3.13=python3.11 (repeatable)")
	f.StringVar(&c.prices, "prices", "", "price book for bills (default: Lambda's public prices)")
	f.StringVar(&c.domain, "domain", "", "domain of function URLs, whose names *.lambda-url.REGION.DOMAIN lead here")
	f.StringVar(&c.cgroupRoot, "cgroup-root", "", "where control groups are mounted (default: found by itself)")
	f.Uint32Var(&c.uidBase, "uid-base", 0, "first host user id of the range that sandboxes get theirs from (default: the driver's)")
}

func defaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/mayfly"
	}
	if dir, err := os.UserHomeDir(); err == nil {
		return filepath.Join(dir, ".local", "share", "mayfly")
	}
	return "mayfly-data"
}

// fill sets each flag that was not given from the environment or the configuration file.
func fill(f *pflag.FlagSet, file string) error {
	fromFile := map[string]any{}
	if file != "" {
		if _, err := toml.DecodeFile(file, &fromFile); err != nil {
			return fmt.Errorf("configuration file %s: %w", file, err)
		}
		for key := range fromFile {
			if f.Lookup(key) == nil || key == "config" {
				return fmt.Errorf("configuration file %s: there is no setting %q; `mayfly serve --help` lists them", file, key)
			}
		}
	}
	var err error
	f.VisitAll(func(flag *pflag.Flag) {
		if err != nil || flag.Changed || flag.Name == "config" || flag.Name == "help" {
			return
		}
		var values []string
		source := "MAYFLY_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		if s, ok := os.LookupEnv(source); ok {
			values = []string{s}
			if flag.Value.Type() == "stringArray" {
				values = strings.Fields(s)
			}
		} else if v, ok := fromFile[flag.Name]; ok {
			source = file + ": " + flag.Name
			if list, ok := v.([]any); ok {
				for _, item := range list {
					values = append(values, fmt.Sprint(item))
				}
			} else {
				values = []string{fmt.Sprint(v)}
			}
		}
		for _, s := range values {
			if e := f.Set(flag.Name, s); e != nil {
				err = fmt.Errorf("%s: %w", source, e)
			}
		}
	})
	return err
}

// validate checks the settings against each other and works out what they mean.
func (c *config) validate() error {
	host, _, err := net.SplitHostPort(c.listen)
	if err != nil {
		return fmt.Errorf("--listen %q: write HOST:PORT, such as 127.0.0.1:4566", c.listen)
	}
	for _, s := range c.accessKeys {
		parts := strings.SplitN(s, ":", 3)
		if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
			return fmt.Errorf("--access-key: write ID:SECRET or ID:SECRET:ACCOUNT")
		}
		k := identity.AccessKey{ID: parts[0], Secret: parts[1], Account: c.account}
		if len(parts) == 3 {
			k.Account = parts[2]
		}
		c.keys = append(c.keys, k)
	}
	if len(c.keys) == 0 && !loopback(host) {
		return fmt.Errorf("--listen %s can be reached from other machines, and without an access key anybody there could run code here: "+
			"add --access-key ID:SECRET (clients then sign with it), or listen on 127.0.0.1", c.listen)
	}
	if c.policy, err = sandbox.ParseEgress(c.egress); err != nil {
		return fmt.Errorf("--egress: %w", err)
	}
	if c.egressPool != "" {
		if c.pool, err = netip.ParsePrefix(c.egressPool); err != nil {
			return fmt.Errorf("--egress-pool %q: write a CIDR, such as 100.96.0.0/12", c.egressPool)
		}
	}
	for _, s := range c.egressDeny {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return fmt.Errorf("--egress-deny %q: write a CIDR, such as 203.0.113.0/24", s)
		}
		c.deny = append(c.deny, p)
	}
	if c.isolation != "native" && c.isolation != "none" {
		return fmt.Errorf("--isolation %q: use native or none", c.isolation)
	}
	if c.concurrency < 1 {
		return fmt.Errorf("--concurrency %d: at least 1", c.concurrency)
	}
	if c.requestRate < 0 {
		return fmt.Errorf("--requests-per-concurrency %d: at least 0, which is any number", c.requestRate)
	}
	if c.shells < 0 || c.shellMemory < 0 {
		return fmt.Errorf("--shells and --shell-memory must not be less than 0")
	}
	if c.idleTimeout <= 0 || c.drainTimeout < 0 || c.freezeAfter < 0 {
		return fmt.Errorf("--idle-timeout must be more than 0, --drain-timeout and --freeze-after not less")
	}
	c.runtimeMap = map[string]string{}
	for _, s := range c.mapRuntimes {
		from, to, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("--map-runtime %q: write ASKED=PRESENT, such as python3.13=python3.11", s)
		}
		c.runtimeMap[from] = to
	}
	if c.data, err = filepath.Abs(c.data); err != nil {
		return err
	}
	return nil
}

// loopback tells whether a listen host is this machine's own and nothing else.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"mayfly"
	"mayfly/scaling"
	"mayfly/scaling/simulate"
)

type simulation struct {
	policies    []string
	provisioned []string
	start       time.Duration
	maxIdle     time.Duration
	concurrency int
	memoryMB    int
	seed        uint64
	asJSON      bool
	plot        string
}

func newSimulateCommand() *cobra.Command {
	var s simulation
	defaults := scaling.DefaultSettings()
	cmd := &cobra.Command{
		Use:   "simulate TRACE",
		Short: "Replay a trace of calls and compare keep-alive policies",
		Long: `Replay a trace through Mayfly's scaling decisions, in virtual time, once for each policy, and print what the
policy comes to: cold starts, latency that starts and waiting added, memory held by idle instances, and cost at Lambda's
prices. Needs no server.

TRACE is a CSV file with the columns function, arrival (seconds or RFC 3339), duration (ms) and memory (MB), "-" for
standard input, or a folder with a day of the Azure Functions 2019 trace: inv.csv, run.csv, mem.csv.`,
		Example: `  mayfly simulate calls.csv
  mayfly simulate calls.csv --policy fixed:5m --policy hybrid --max-idle 1h --plot policies.svg
  mayfly simulate calls.csv --provisioned checkout=5`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&s.policies, "policy", []string{"fixed:1m", "fixed:5m", "fixed:15m", "hybrid"}, "keep-alive policies: hybrid, fixed, fixed:DURATION")
	f.StringSliceVar(&s.provisioned, "provisioned", nil, "run again with instances that are always ready: N for every function, or NAME=N")
	f.DurationVar(&s.start, "start", defaults.StartGuess, "what a cold start takes, unless the trace has a column start")
	f.DurationVar(&s.maxIdle, "max-idle", defaults.MaxIdle, "the longest that an idle instance is kept, whatever the policy")
	f.IntVar(&s.concurrency, "concurrency", mayfly.DefaultLimits().ConcurrentExecutions, "calls at once")
	f.IntVar(&s.memoryMB, "memory", 0, "the machine's memory for instances in MB; 0 is without end")
	f.Uint64Var(&s.seed, "seed", 1, "what the Azure format leaves open is drawn from this")
	f.StringVar(&s.plot, "plot", "", "also draw the results into this SVG file")
	addJSONFlag(cmd, &s.asJSON)
	return cmd
}

func (s *simulation) run(cmd *cobra.Command, path string) error {
	configs, err := s.configs()
	if err != nil {
		return err
	}
	var trace *simulate.Trace
	results := make([]simulate.Result, len(configs))
	err = step(cmd.ErrOrStderr(), "Simulating", func() error {
		if trace, err = s.read(cmd.InOrStdin(), path); err != nil {
			return err
		}
		group, ctx := errgroup.WithContext(cmd.Context())
		group.SetLimit(runtime.GOMAXPROCS(0))
		for i, c := range configs {
			group.Go(func() (err error) {
				results[i], err = simulate.Run(ctx, trace, c)
				return err
			})
		}
		return group.Wait()
	})
	if err != nil {
		return err
	}
	if s.plot != "" {
		if err := os.WriteFile(s.plot, simulate.Plot(results), 0o644); err != nil {
			return err
		}
	}
	if s.asJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			Functions int               `json:"functions"`
			Prices    simulate.Prices   `json:"prices"`
			Results   []simulate.Result `json:"results"`
		}{len(trace.Functions), configs[0].Prices, results})
	}
	return printResults(cmd.OutOrStdout(), trace, configs[0].Prices, results)
}

func (s *simulation) read(stdin io.Reader, path string) (*simulate.Trace, error) {
	if path == "-" {
		return simulate.ReadCSV(bufio.NewReader(stdin))
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return simulate.ReadAzure(os.DirFS(path), s.seed)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return simulate.ReadCSV(bufio.NewReader(f))
}

// configs are the runs: each policy, and each again with provisioned concurrency when that is asked for.
func (s *simulation) configs() ([]simulate.Config, error) {
	for name, n := range map[string]int64{"start": int64(s.start), "max-idle": int64(s.maxIdle), "memory": int64(s.memoryMB)} {
		if n < 0 {
			return nil, fmt.Errorf("--%s cannot be negative", name)
		}
	}
	if s.concurrency < 1 {
		return nil, fmt.Errorf("--concurrency %d lets nobody call: give 1 or more", s.concurrency)
	}
	everywhere, by, err := provisionedConcurrency(s.provisioned)
	if err != nil {
		return nil, err
	}
	settings := scaling.DefaultSettings()
	settings.MaxIdle = s.maxIdle
	var out []simulate.Config
	for _, name := range s.policies {
		policy, err := scaling.ParsePolicy(name)
		if err != nil {
			return nil, err
		}
		c := simulate.Config{Policy: policy, Settings: settings, Start: s.start, Concurrency: s.concurrency, MemoryMB: s.memoryMB,
			Prices: simulate.LambdaPrices()}
		out = append(out, c)
		if len(s.provisioned) > 0 {
			c.Everywhere, c.Provisioned = everywhere, by
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("--policy names no policy: use hybrid, fixed, or fixed:DURATION")
	}
	return out, nil
}

func provisionedConcurrency(args []string) (everywhere int, by map[string]int, err error) {
	by = map[string]int{}
	for _, arg := range args {
		name, count := "", arg
		if i := strings.LastIndexByte(arg, '='); i >= 0 {
			name, count = arg[:i], arg[i+1:]
		}
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 {
			return 0, nil, fmt.Errorf("--provisioned %q is neither a number nor NAME=NUMBER", arg)
		}
		if name == "" {
			everywhere = n
		} else {
			by[name] = n
		}
	}
	return everywhere, by, nil
}

func printResults(w io.Writer, trace *simulate.Trace, prices simulate.Prices, results []simulate.Result) error {
	rows := make([][]string, 0, len(results))
	for _, r := range results {
		rows = append(rows, []string{
			r.Policy, strconv.Itoa(r.Provisioned), strconv.Itoa(r.Invocations), strconv.Itoa(r.ColdStarts),
			fmt.Sprintf("%.3f", 100*r.ColdRate), fmt.Sprintf("%.1f", 100*r.ColdRateP75), fmt.Sprintf("%.1f", r.AddedP50MS), fmt.Sprintf("%.1f", r.AddedP99MS),
			strconv.Itoa(r.Waited), strconv.Itoa(r.Throttled), fmt.Sprintf("%.0f", r.WastedGBs), strconv.Itoa(r.PeakMemoryMB),
			strconv.Itoa(r.PeakInstances), fmt.Sprintf("%.4f", r.Cost.Total),
		})
	}
	heading := []string{"POLICY", "PROVISIONED", "CALLS", "COLD", "COLD %", "P75 FUNCTION %", "P50 ADDED MS", "P99 ADDED MS", "WAITED", "THROTTLED",
		"IDLE GB-S", "PEAK MB", "PEAK INSTANCES", "USD"}
	if err := table(w, heading, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d functions, %v. Prices: %s\n", len(trace.Functions), results[0].Span.Round(time.Second), prices.Name)
	return err
}

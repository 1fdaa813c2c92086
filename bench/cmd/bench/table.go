package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table: a figure of Mayfly, what it is compared with, and the budget.
type row struct {
	Section  string     `json:"section"`
	Name     string     `json:"name"`
	Unit     string     `json:"unit"` // ms, /s, MiB, or empty for a count
	Value    float64    `json:"value"`
	Baseline *float64   `json:"baseline,omitempty"` // in the same unit
	Against  string     `json:"against,omitempty"`  // what the baseline is
	Ratio    *float64   `json:"ratio,omitempty"`    // value / baseline
	Spread   [2]float64 `json:"ratioQuartiles,omitzero"`
	Budget   string     `json:"budget,omitempty"`
	Met      *bool      `json:"met,omitempty"`
	Note     string     `json:"note,omitempty"`
}

// against sets the baseline; pairs are ratios of single turns, for their spread.
func (r row) against(what string, baseline float64, pairs samples) row {
	ratio := r.Value / baseline
	r.Against, r.Baseline, r.Ratio = what, &baseline, &ratio
	if len(pairs) > 1 {
		r.Spread = [2]float64{pairs.at(0.25), pairs.at(0.75)}
	}
	return r
}

// budget says what the design asks for; met tells whether the figure keeps it.
func (r row) budget(text string, met bool) row {
	r.Budget, r.Met = text, &met
	return r
}

func (r row) note(format string, args ...any) row {
	r.Note = fmt.Sprintf(format, args...)
	return r
}

// table is the result.
type table struct {
	When    time.Time `json:"when"`
	Machine string    `json:"machine"`
	Version string    `json:"version"`
	Rows    []row     `json:"rows"`
	Options string    `json:"options"`
	Load    string    `json:"loadAtStart"`
}

func newTable(o *options, l *lab) *table {
	return &table{When: time.Now().UTC().Truncate(time.Second), Machine: machine(), Version: l.version, Load: loadAverage(),
		Options: fmt.Sprintf("%d cold starts per runtime, %d warm rounds of %v, %d starts, %d × %d calls at once, egress %s, isolation %s",
			o.runs, o.rounds, o.slice, o.starts, o.bursts, o.burst, o.egress, l.isolation)}
}

func (t *table) add(section string, rows ...row) {
	for _, r := range rows {
		r.Section = section
		t.Rows = append(t.Rows, r)
	}
}

// print writes the table for people.
func (t *table) print(w io.Writer) error {
	fmt.Fprintf(w, "Mayfly %s on %s, %s\n%s; load average before: %s\n\n", t.Version, t.Machine, t.When.Format("2006-01-02 15:04 MST"), t.Options, t.Load)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\tMAYFLY\tBASELINE\tRATIO\tBUDGET\tMET\t")
	section := ""
	for _, r := range t.Rows {
		if r.Section != section {
			section = r.Section
			fmt.Fprintf(tw, "%s\t\t\t\t\t\t\n", section)
		}
		var baseline, ratio, met string
		if r.Baseline != nil {
			baseline = amount(*r.Baseline, r.Unit) + " " + r.Against
		}
		if r.Ratio != nil {
			ratio = fmt.Sprintf("%.2f", *r.Ratio)
			if r.Spread[1] > 0 {
				ratio += fmt.Sprintf(" (%.2f–%.2f)", r.Spread[0], r.Spread[1])
			}
		}
		if r.Met != nil {
			met = map[bool]string{true: "yes", false: "no"}[*r.Met]
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, amount(r.Value, r.Unit), baseline, ratio, r.Budget, met, r.Note)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nIn brackets: the quartiles of the ratio turn by turn. With fewer than 100 samples, p99 is the largest.")
	return err
}

func (t *table) writeJSON(file string) error {
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func amount(v float64, unit string) string {
	switch {
	case unit == "":
		return fmt.Sprintf("%.0f", v)
	case unit == "/s" || v >= 1000:
		return fmt.Sprintf("%.0f %s", v, unit)
	case v >= 100:
		return fmt.Sprintf("%.1f %s", v, unit)
	default:
		return fmt.Sprintf("%.2f %s", v, unit)
	}
}

// progress says on standard error what is being done; "" ends the line.
func progress(doing string) {
	if terminal() {
		fmt.Fprint(os.Stderr, "\r\033[K", doing)
	} else if doing != "" {
		fmt.Fprintln(os.Stderr, "bench:", doing)
	}
}

// step says how far a section is, to people who watch.
func step(format string, args ...any) {
	if terminal() {
		progress(fmt.Sprintf(format, args...))
	}
}

func terminal() bool {
	st, err := os.Stderr.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

func machine() string {
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.TrimSpace(strings.TrimLeft(line, "\t :"))
		}
	}
	kernel := runtime.GOOS
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel += " " + strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("%d × %s, %s", runtime.NumCPU(), model, kernel)
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	f := strings.Fields(string(b))
	return strings.Join(f[:min(3, len(f))], " ")
}

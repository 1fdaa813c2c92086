package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// table prints rows under a heading, columns aligned.
func table(w io.Writer, heading []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{heading}, rows...) {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// printJSON prints v, indented.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// addJSONFlag gives cmd the flag that asks for JSON.
func addJSONFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "print JSON")
}

// step runs do and, when it takes longer than a second, says so on w: what is being done, and at the end how long it
// took. On a terminal the line counts the seconds.
func step(w io.Writer, what string, do func() error) error {
	p := &stepLine{w: w, what: what, terminal: isTerminal(w), began: time.Now()}
	p.mu.Lock() // tick uses the timer
	p.timer = time.AfterFunc(time.Second, p.tick)
	p.mu.Unlock()
	err := do()
	p.finish(err)
	return err
}

type stepLine struct {
	mu       sync.Mutex
	w        io.Writer
	what     string
	terminal bool
	began    time.Time
	timer    *time.Timer
	shown    bool
	over     bool
}

func (p *stepLine) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
		return
	case p.terminal:
		fmt.Fprintf(p.w, "\r%s… %ds", p.what, int(time.Since(p.began).Seconds()))
	case !p.shown:
		fmt.Fprintf(p.w, "%s…\n", p.what)
	}
	p.shown = true
	p.timer.Reset(time.Second)
}

func (p *stepLine) finish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.timer.Stop()
	if !p.shown {
		return
	}
	if p.terminal {
		fmt.Fprint(p.w, "\r")
	}
	word := "done"
	if err != nil {
		word = "failed"
	}
	fmt.Fprintf(p.w, "%s… %s (%.1f s)\n", p.what, word, time.Since(p.began).Seconds())
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// size words a number of bytes.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
}

package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// bill is the server's answer: what every function and day costs.
type bill struct {
	Currency string     `json:"currency"`
	Rows     []billLine `json:"rows"`
	Total    billLine   `json:"total"`
	Idle     []string   `json:"idle"` // functions without any use: they cost nothing
}

// billLine is one function's use on one day.
type billLine struct {
	Day         string  `json:"day,omitempty"`
	Function    string  `json:"function,omitempty"`
	Arch        string  `json:"arch,omitempty"`
	Requests    int64   `json:"requests"`
	BilledMs    int64   `json:"billedMs"`
	GBSeconds   float64 `json:"gbSeconds"`
	RequestCost float64 `json:"requestCost"`
	ComputeCost float64 `json:"computeCost"`
	Cost        float64 `json:"cost"`
}

func newBillCommand() *cobra.Command {
	var r remote
	var asJSON bool
	var from, to string
	cmd := &cobra.Command{
		Use:   "bill",
		Short: "Print what the functions' use would cost on Lambda",
		Long: `Print requests, GB-seconds and cost per function and day, at the prices of the server's price book: Lambda's public
ones unless another is configured. The milliseconds are those of the log's REPORT lines.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for name, day := range map[string]string{"from": from, "to": to} {
				if day == "" {
					continue
				}
				if _, err := time.Parse(time.DateOnly, day); err != nil {
					return fmt.Errorf("--%s %q is not a day: write it as 2026-11-22", name, day)
				}
				q.Set(name, day)
			}
			c, err := r.connect(cmd.Context())
			if err != nil {
				return err
			}
			var b bill
			if err := step(cmd.ErrOrStderr(), "Adding up", func() error {
				return c.getJSON(cmd.Context(), "/_mayfly/api/bill", q, &b)
			}); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), b)
			}
			return printBill(cmd, b)
		},
	}
	r.addFlags(cmd)
	addJSONFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&from, "from", "", "first day, as 2026-11-22 (UTC)")
	cmd.Flags().StringVar(&to, "to", "", "last day, as 2026-11-22 (UTC)")
	return cmd
}

func printBill(cmd *cobra.Command, b bill) error {
	rows := make([][]string, 0, len(b.Rows)+1)
	for _, l := range b.Rows {
		rows = append(rows, l.columns(l.Day, l.Function, l.Arch))
	}
	rows = append(rows, b.Total.columns("TOTAL", "", ""))
	heading := []string{"DAY", "FUNCTION", "ARCH", "REQUESTS", "BILLED MS", "GB-SECONDS", "REQUEST COST", "COMPUTE COST", "COST " + b.Currency}
	if err := table(cmd.OutOrStdout(), heading, rows); err != nil {
		return err
	}
	if len(b.Idle) > 0 {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "\nAt rest, at no cost: %s\n", strings.Join(b.Idle, ", "))
		return err
	}
	return nil
}

func (l billLine) columns(day, function, arch string) []string {
	return []string{
		day, function, arch, strconv.FormatInt(l.Requests, 10), strconv.FormatInt(l.BilledMs, 10),
		fmt.Sprintf("%.6f", l.GBSeconds), money(l.RequestCost), money(l.ComputeCost), money(l.Cost),
	}
}

// money keeps the digits that matter: a single request costs 0.0000002.
func money(v float64) string { return fmt.Sprintf("%.10f", v) }

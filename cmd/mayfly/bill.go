package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly/meter"
)

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
			var b meter.Bill
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

func printBill(cmd *cobra.Command, b meter.Bill) error {
	row := func(day, function string, l meter.Line) []string {
		return []string{
			day, function, l.Arch, strconv.FormatInt(l.Requests, 10), strconv.FormatInt(l.ColdStarts, 10), strconv.FormatInt(l.Errors, 10),
			strconv.FormatInt(l.BilledMS, 10), l.GBSeconds, l.RequestCost, l.ComputeCost, l.StorageCost, l.Cost,
		}
	}
	rows := make([][]string, 0, len(b.Rows)+1)
	for _, l := range b.Rows {
		rows = append(rows, row(l.Day, l.Function, l))
	}
	rows = append(rows, row("TOTAL", "", b.Total))
	heading := []string{"DAY", "FUNCTION", "ARCH", "REQUESTS", "COLD", "ERRORS", "BILLED MS", "GB-S", "REQUEST COST", "COMPUTE COST", "STORAGE COST", b.Currency}
	if err := table(cmd.OutOrStdout(), heading, rows); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "\nPrices: %s\n", b.Prices)
	if len(b.Idle) > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "At rest, at no cost: %s\n", strings.Join(b.Idle, ", "))
	}
	return nil
}

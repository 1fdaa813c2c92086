package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly/telemetry"
)

func newLogsCommand() *cobra.Command {
	var r remote
	var asJSON, follow bool
	var since, request string
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print a function's log",
		Example: `  mayfly logs process-order -f
  mayfly logs process-order --since 15m
  mayfly logs process-order --since 2026-11-22T21:00:00Z --request 8f5…`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return err
			}
			c, err := r.connect(cmd.Context())
			if err != nil {
				return err
			}
			q := url.Values{"function": {args[0]}, "since": {from.UTC().Format(time.RFC3339Nano)}}
			if follow {
				q.Set("follow", "1")
			}
			if request != "" {
				q.Set("request", request)
			}
			n, err := copyLogs(cmd.Context(), c, q, cmd.OutOrStdout(), asJSON)
			if err == nil && n == 0 && !follow {
				fmt.Fprintf(cmd.ErrOrStderr(), "No log lines since %s; --since looks further back.\n", from.UTC().Format(time.RFC3339))
			}
			if follow && cmd.Context().Err() != nil {
				return nil // Ctrl-C is how following ends
			}
			if follow && err == nil {
				return errors.New("the server ended the log: it is stopping, or was restarted")
			}
			return err
		},
	}
	r.addFlags(cmd)
	cmd.ValidArgsFunction = firstOnly(r.completeFunctions)
	addJSONFlag(cmd, &asJSON)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing lines as they come")
	cmd.Flags().StringVar(&since, "since", "1h", "how far back: a duration (15m) or a time (RFC 3339)")
	cmd.Flags().StringVar(&request, "request", "", "lines of this request id only")
	return cmd
}

// parseSince reads --since: a time, or how long ago.
func parseSince(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d.Abs()), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("--since %q is neither a duration (15m, 2h) nor a time (2026-11-22T21:00:00Z)", s)
}

// copyLogs prints the lines that the query selects and returns their number.
func copyLogs(ctx context.Context, c *connection, q url.Values, w io.Writer, asJSON bool) (int, error) {
	body, err := c.get(ctx, "/_mayfly/api/logs", q)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	in := bufio.NewReader(body)
	for n := 0; ; n++ {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 && err == io.EOF {
			return n, nil
		}
		if err != nil && err != io.EOF {
			return n, fmt.Errorf("the log broke off: %w", err)
		}
		if asJSON {
			if _, err := w.Write(line); err != nil {
				return n, err
			}
			continue
		}
		var l telemetry.Line
		if err := json.Unmarshal(line, &l); err != nil {
			return n, fmt.Errorf("reading the log: %w", err)
		}
		if _, err := fmt.Fprintf(w, "%s %s\n", l.Time.UTC().Format("2006-01-02T15:04:05.000Z"), strings.TrimRight(l.Message, "\n")); err != nil {
			return n, err
		}
	}
}

package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/spf13/cobra"
)

func newInvokeCommand() *cobra.Command {
	var r remote
	var payload, qualifier string
	var withLog bool
	cmd := &cobra.Command{
		Use:   "invoke NAME",
		Short: "Call a function and print its answer",
		Long: `Call a function and print its answer on standard output.

With --log the end of its log and where the time went are printed on standard error. The exit status is 1 when the
function failed; what it answered is printed all the same.`,
		Example: `  mayfly invoke process-order --payload '{"customer":{"id":"c-1"},"items":[]}'
  mayfly invoke process-order --payload @event.json --log
  echo '{}' | mayfly invoke process-order --payload -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			event, err := readPayload(payload, cmd.InOrStdin())
			if err != nil {
				return err
			}
			c, err := r.connect(cmd.Context())
			if err != nil {
				return err
			}
			return invokeOnce(cmd, c, args[0], qualifier, event, withLog)
		},
	}
	r.addFlags(cmd)
	cmd.ValidArgsFunction = firstOnly(r.completeFunctions)
	cmd.Flags().StringVarP(&payload, "payload", "p", "{}", "the event: JSON, @FILE, or - for standard input")
	cmd.Flags().StringVar(&qualifier, "qualifier", "", "version or alias to call")
	cmd.Flags().BoolVar(&withLog, "log", false, "print the log's last 4 KB and the phases")
	return cmd
}

// readPayload reads what --payload names.
func readPayload(arg string, stdin io.Reader) ([]byte, error) {
	switch {
	case arg == "-":
		return io.ReadAll(stdin)
	case strings.HasPrefix(arg, "@"):
		return os.ReadFile(arg[1:])
	default:
		return []byte(arg), nil
	}
}

func invokeOnce(cmd *cobra.Command, c *connection, name, qualifier string, event []byte, withLog bool) error {
	in := &lambda.InvokeInput{FunctionName: aws.String(name), Payload: event}
	if qualifier != "" {
		in.Qualifier = aws.String(qualifier)
	}
	if withLog {
		in.LogType = types.LogTypeTail
	}
	var out *lambda.InvokeOutput
	err := step(cmd.ErrOrStderr(), "Calling "+name, func() (err error) {
		// A call is not repeated: the first one may have had its effect.
		out, err = c.lambda().Invoke(cmd.Context(), in, func(o *lambda.Options) { o.Retryer = aws.NopRetryer{} })
		return err
	})
	if err != nil {
		return err
	}
	if withLog {
		if tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult)); err == nil {
			_, _ = cmd.ErrOrStderr().Write(tail)
		}
		if id, ok := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata); ok {
			if rec, ok := awaitRecord(cmd.Context(), c, id); ok {
				fmt.Fprintln(cmd.ErrOrStderr(), rec.line())
			}
		}
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), string(out.Payload)); err != nil {
		return err
	}
	if out.FunctionError != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "mayfly: the function failed ("+*out.FunctionError+")")
		return exitError(1)
	}
	return nil
}

// invocationRecord is what the server remembers of one invocation. Times are in milliseconds.
type invocationRecord struct {
	RequestID string `json:"requestId"`
	Cold      bool   `json:"cold"`
	Phases    struct {
		Queued  float64 `json:"queuedMs"`
		Sandbox float64 `json:"sandboxMs"`
		Init    float64 `json:"initMs"`
		Handler float64 `json:"handlerMs"`
	} `json:"phases"`
}

// line words the record as a line below the log's REPORT.
func (r invocationRecord) line() string {
	start := "warm start"
	if r.Cold {
		start = "cold start"
	}
	p := r.Phases
	return fmt.Sprintf("PHASES %s: queued %.2f ms, sandbox %.2f ms, init %.2f ms, handler %.2f ms", start, p.Queued, p.Sandbox, p.Init, p.Handler)
}

// awaitRecord asks for the record of one request. Records are written off the hot path, so it may come a little later
// than the answer; a server that keeps none is not waited for.
func awaitRecord(ctx context.Context, c *connection, requestID string) (invocationRecord, bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		var recs []invocationRecord
		if err := c.getJSON(ctx, "/_mayfly/api/invocations", url.Values{"request": {requestID}}, &recs); err != nil {
			return invocationRecord{}, false
		}
		if len(recs) > 0 {
			return recs[0], true
		}
		select {
		case <-ctx.Done():
			return invocationRecord{}, false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

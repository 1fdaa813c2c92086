package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/spf13/cobra"

	"mayfly/pool"
)

// listedFunction is one row of `mayfly ls`.
type listedFunction struct {
	Name      string `json:"name"`
	ARN       string `json:"arn"`
	Runtime   string `json:"runtime"`
	Handler   string `json:"handler"`
	MemoryMB  int32  `json:"memoryMB"`
	TimeoutS  int32  `json:"timeoutSeconds"`
	CodeBytes int64  `json:"codeBytes"`
	State     string `json:"state"`
	Modified  string `json:"modified"`
}

func newListCommand() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the functions",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.connect(cmd.Context())
			if err != nil {
				return err
			}
			var fs []listedFunction
			if err := step(cmd.ErrOrStderr(), "Listing functions", func() error {
				fs, err = listFunctions(cmd.Context(), c)
				return err
			}); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), fs)
			}
			if len(fs) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "No functions yet. `mayfly deploy DIR` makes one.")
				return nil
			}
			rows := make([][]string, len(fs))
			for i, f := range fs {
				rows[i] = []string{
					f.Name, f.Runtime, f.Handler, fmt.Sprintf("%d MB", f.MemoryMB), (time.Duration(f.TimeoutS) * time.Second).String(),
					size(f.CodeBytes), f.State, f.Modified,
				}
			}
			return table(cmd.OutOrStdout(), []string{"NAME", "RUNTIME", "HANDLER", "MEMORY", "TIMEOUT", "CODE", "STATE", "MODIFIED"}, rows)
		},
	}
	r.addFlags(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func listFunctions(ctx context.Context, c *connection) ([]listedFunction, error) {
	fs := []listedFunction{} // never nil: an empty list is [] in JSON
	pages := lambda.NewListFunctionsPaginator(c.lambda(), &lambda.ListFunctionsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range page.Functions {
			fs = append(fs, listedFunction{
				Name: aws.ToString(f.FunctionName), ARN: aws.ToString(f.FunctionArn), Runtime: string(f.Runtime), Handler: aws.ToString(f.Handler),
				MemoryMB: aws.ToInt32(f.MemorySize), TimeoutS: aws.ToInt32(f.Timeout), CodeBytes: f.CodeSize,
				State: listedState(f), Modified: modified(aws.ToString(f.LastModified)),
			})
		}
	}
	return fs, nil
}

// completeFunctions offers the functions that the server has to shell completion; it keeps quiet when it cannot.
func (r *remote) completeFunctions(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	c, err := r.connect(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	fs, _ := listFunctions(ctx, c) // what there is; an error gives nothing to offer
	var names []string
	for _, f := range fs {
		if !slices.Contains(args, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// firstOnly completes the first argument only.
func firstOnly(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, word)
	}
}

// listedState is a function's state in one word. Lambda's list leaves the state out; such a function is Active.
func listedState(f types.FunctionConfiguration) string {
	switch {
	case f.State == "" || f.State == types.StateActive:
		if f.LastUpdateStatus == types.LastUpdateStatusInProgress {
			return "Updating"
		}
		return string(types.StateActive)
	default:
		return string(f.State)
	}
}

// modified shortens Lambda's time stamp (2026-11-22T21:50:02.000+0000) to the second, in UTC.
func modified(stamp string) string {
	t, err := time.Parse("2006-01-02T15:04:05.000-0700", stamp)
	if err != nil {
		return stamp
	}
	return t.UTC().Format(time.RFC3339)
}

func newInstancesCommand() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List the instances that are alive now",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.connect(cmd.Context())
			if err != nil {
				return err
			}
			is := []pool.Info{}
			if err := c.getJSON(cmd.Context(), "/_mayfly/api/instances", nil, &is); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), is)
			}
			rows := make([][]string, len(is))
			for i, n := range is {
				rows[i] = []string{n.ID, n.Function, n.Version, n.State, n.Since.UTC().Format(time.RFC3339), strconv.FormatInt(n.Invocations, 10)}
			}
			return table(cmd.OutOrStdout(), []string{"INSTANCE", "FUNCTION", "VERSION", "STATE", "SINCE", "INVOCATIONS"}, rows)
		},
	}
	r.addFlags(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

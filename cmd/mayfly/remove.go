package main

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/spf13/cobra"
)

func newRemoveCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "rm NAME...",
		Aliases: []string{"remove", "delete"},
		Short:   "Delete functions, with their URLs and instances",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			c, err := r.connect(cmd.Context())
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := step(cmd.ErrOrStderr(), "Deleting "+name, func() error {
					_, err := c.lambda().DeleteFunction(cmd.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String(name)})
					return err
				}); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return nil
		},
	}
	r.addFlags(cmd)
	cmd.ValidArgsFunction = r.completeFunctions
	return cmd
}

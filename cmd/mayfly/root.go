package main

import "github.com/spf13/cobra"

// newRootCommand returns the whole command tree.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "mayfly",
		Short: "Run AWS Lambda functions on machines you own",
		Long: `Mayfly runs serverless functions on machines you own. It speaks AWS Lambda's API, so that the aws CLI, the SDKs
and code written for Lambda work unchanged.

Start a server with "mayfly serve", then "mayfly deploy DIR" puts a folder of code there and prints its URL.`,
		SilenceUsage:  true,
		SilenceErrors: true, // exitCode prints them
	}
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "Server:"},
		&cobra.Group{ID: groupFunctions, Title: "Functions:"},
	)
	for _, c := range []*cobra.Command{newServeCommand(version), newDoctorCommand(), newRuntimeCommand()} {
		c.GroupID = groupServer
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{
		newDeployCommand(), newInvokeCommand(), newLogsCommand(), newListCommand(), newInstancesCommand(), newRemoveCommand(), newBillCommand(),
	} {
		c.GroupID = groupFunctions
		root.AddCommand(c)
	}
	root.AddCommand(newSimulateCommand(), newVersionCommand(version))
	return root
}

// Headings of `mayfly help`.
const (
	groupServer    = "server"
	groupFunctions = "functions"
)

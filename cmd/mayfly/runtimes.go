package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mayfly/sandbox/bootstrap"
)

// runtimeRow is one runtime as the server lists it.
type runtimeRow struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Path     string `json:"path"`
	Source   string `json:"source"` // "PATH", "added" or "built in"
	MappedTo string `json:"mappedTo,omitempty"`
}

type runtimeRows []runtimeRow

// names are the runtimes that are there themselves, not through a mapping.
func (rs runtimeRows) names() []string {
	var names []string
	for _, r := range rs {
		if r.MappedTo == "" {
			names = append(names, r.Name)
		}
	}
	return names
}

// mapped returns what the server runs a runtime on in its stead, "" when it does not map it.
func (rs runtimeRows) mapped(name string) string {
	for _, r := range rs {
		if r.Name == name {
			return r.MappedTo
		}
	}
	return ""
}

func (rs runtimeRows) table() [][]string {
	rows := make([][]string, len(rs))
	for i, r := range rs {
		source := r.Source
		if r.MappedTo != "" {
			source = "mapped to " + r.MappedTo
		}
		rows[i] = []string{r.Name, r.Version, r.Path, source}
	}
	return rows
}

// availableRuntimes asks the server what it can run; a server that has no such list (it is not Mayfly) gives none.
func availableRuntimes(ctx context.Context, c *connection) (runtimeRows, error) {
	var rows runtimeRows
	err := c.getJSON(ctx, "/_mayfly/api/runtimes", nil, &rows)
	var refused *refusedError
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return nil, nil
	}
	return rows, err
}

func newRuntimeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runtime",
		Short: "Add interpreters beside those in PATH",
		Long: `A server finds Node.js and Python in its PATH. Others are added by folder; the list is kept in the server's data
directory (runtimes.json), so these commands run where the server runs. A server reads it when it starts.`,
	}
	cmd.AddCommand(newRuntimeAddCommand(), newRuntimeListCommand(), newRuntimeRemoveCommand())
	return cmd
}

func newRuntimeAddCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "add NAME DIR",
		Short:   "Add the interpreter in a folder as a runtime",
		Example: "  mayfly runtime add nodejs24.x /opt/node-v24.1.0-linux-x64\n  mayfly runtime add python3.13 /opt/python3.13",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			dir, err := filepath.Abs(args[1])
			if err != nil {
				return err
			}
			version, err := checkInterpreter(cmd.Context(), name, dir)
			if err != nil {
				return err
			}
			if err := changeAddedRuntimes(data, func(m map[string]string) error {
				m[name] = dir
				return nil
			}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "added %s: version %s in %s; a running server takes it up when it is restarted\n", name, version, dir)
			return nil
		},
	}
	addDataFlag(cmd, &data)
	return cmd
}

func newRuntimeRemoveCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "Forget an added runtime; the folder stays",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return changeAddedRuntimes(data, func(m map[string]string) error {
				if _, ok := m[args[0]]; !ok {
					return fmt.Errorf("%s was not added here: added are %s", args[0], listOr(slices.Sorted(maps.Keys(m)), "none"))
				}
				delete(m, args[0])
				return nil
			})
		},
	}
	addDataFlag(cmd, &data)
	return cmd
}

func listOr(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	return strings.Join(words, ", ")
}

// Runtimes that have an interpreter, and the program that it is.
var (
	nodeRuntime   = regexp.MustCompile(`^nodejs(\d+)\.x$`)
	pythonRuntime = regexp.MustCompile(`^python(\d+\.\d+)$`)
)

// checkInterpreter runs the interpreter in dir and returns its version; an error says why it is not the runtime that
// name promises.
func checkInterpreter(ctx context.Context, name, dir string) (string, error) {
	var programs []string
	var wanted string
	switch {
	case nodeRuntime.MatchString(name):
		wanted = nodeRuntime.FindStringSubmatch(name)[1]
		programs = []string{"bin/node", "node"}
	case pythonRuntime.MatchString(name):
		wanted = pythonRuntime.FindStringSubmatch(name)[1]
		programs = []string{"bin/python" + wanted, "bin/python3", "python" + wanted, "python3"}
	default:
		return "", fmt.Errorf("%q is not a runtime with an interpreter: names look like nodejs22.x and python3.12", name)
	}
	for _, p := range programs {
		out, err := exec.CommandContext(ctx, filepath.Join(dir, p), "--version").CombinedOutput()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("%s --version: %w: %s", filepath.Join(dir, p), err, strings.TrimSpace(string(out)))
		}
		version := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(string(out)), "Python "), "v")
		if !strings.HasPrefix(version, wanted+".") {
			return "", fmt.Errorf("%s is version %s, which is not %s", filepath.Join(dir, p), version, name)
		}
		return version, nil
	}
	return "", fmt.Errorf("%s has none of %s", dir, strings.Join(programs, ", "))
}

// addedRuntimesFile is where a data directory keeps what was added: {"nodejs24.x": "/opt/node24"}.
const addedRuntimesFile = "runtimes.json"

// readRuntimes reads the runtimes that were added to a data directory, name to folder.
func readRuntimes(data string) (map[string]string, error) {
	m := map[string]string{}
	src, err := os.ReadFile(filepath.Join(data, addedRuntimesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(src, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(data, addedRuntimesFile), err)
	}
	return m, nil
}

// changeAddedRuntimes rewrites the list; a reader sees the old one or the new one, never half of it.
func changeAddedRuntimes(data string, change func(map[string]string) error) error {
	m, err := readRuntimes(data)
	if err != nil {
		return err
	}
	if err := change(m); err != nil {
		return err
	}
	src, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(data, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(data, addedRuntimesFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	if _, err := tmp.Write(append(src, '\n')); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(data, addedRuntimesFile))
}

func newRuntimeListCommand() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the runtimes that a server here would have",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var rows runtimeRows
			err := step(cmd.ErrOrStderr(), "Looking for interpreters", func() (err error) {
				rows, err = localRuntimes(cmd.Context(), data)
				return err
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), rows)
			}
			return table(cmd.OutOrStdout(), []string{"RUNTIME", "VERSION", "PATH", "SOURCE"}, rows.table())
		},
	}
	addDataFlag(cmd, &data)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// localRuntimes finds the runtimes of this machine as a server with that data directory does when it starts.
func localRuntimes(ctx context.Context, data string) (runtimeRows, error) {
	added, err := readRuntimes(data)
	if err != nil {
		return nil, err
	}
	catalog, err := bootstrap.Discover(ctx, bootstrap.Options{DataDir: data, Added: added})
	if err != nil {
		return nil, err
	}
	rows := runtimeRows{}
	for _, r := range catalog.List() {
		rows = append(rows, runtimeRow{Name: r.Name, Version: r.Version, Path: r.Path, Source: r.Source})
	}
	return rows, nil
}

// addDataFlag gives cmd the flag that names the server's data directory.
func addDataFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "data", clientDataDir(), "the server's data directory (MAYFLY_DATA)")
}

// clientDataDir is where a server keeps its data when nobody says otherwise.
func clientDataDir() string {
	return cmp.Or(os.Getenv("MAYFLY_DATA"), defaultDataDir())
}

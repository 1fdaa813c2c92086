package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestDocsNameEverything fails when a command or a setting has no line in the documentation.
func TestDocsNameEverything(t *testing.T) {
	read := func(name string) string {
		src, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(src)
	}
	settings, commands := read("configuration.md"), read("cli.md")
	serve, _, err := newRootCommand().Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	serve.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !strings.Contains(settings, "`--"+f.Name+"`") {
			t.Errorf("docs/configuration.md does not name --%s", f.Name)
		}
	})
	for _, c := range newRootCommand().Commands() {
		if !strings.Contains(commands, "`"+c.Name()) {
			t.Errorf("docs/cli.md does not name %s", c.Name())
		}
	}
	for line := range strings.Lines(settings) {
		for _, word := range strings.Split(line, "`") {
			if name, ok := strings.CutPrefix(word, "--"); ok && serve.Flags().Lookup(strings.Fields(name)[0]) == nil {
				t.Errorf("docs/configuration.md names --%s, which there is not", name)
			}
		}
	}
}

// TestClientCommandsChooseAServer: every command that talks to a server can be pointed at another one.
func TestClientCommandsChooseAServer(t *testing.T) {
	local := map[string]bool{"serve": true, "runtime": true, "simulate": true, "version": true, "completion": true, "help": true}
	for _, c := range newRootCommand().Commands() {
		if local[c.Name()] {
			continue
		}
		if c.Flags().Lookup("endpoint") == nil || c.Flags().Lookup("region") == nil {
			t.Errorf("%s has no --endpoint or --region", c.Name())
		}
	}
	for _, path := range [][]string{{"ls"}, {"ps"}, {"bill"}, {"doctor"}, {"runtime", "ls"}, {"logs"}, {"deploy"}, {"simulate"}, {"version"}} {
		c, _, err := newRootCommand().Find(path)
		if err != nil {
			t.Fatal(err)
		}
		if c.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", c.CommandPath())
		}
	}
}

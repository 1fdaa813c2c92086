package bootstrap_test

import (
	"os/exec"
	"strings"
	"testing"

	"mayfly/sandbox/bootstrap"
)

// BenchmarkWarm is one round trip to a trivial handler of a running instance.
func BenchmarkWarm(b *testing.B) {
	each(b, func(b *testing.B, rt bootstrap.Runtime, dir string) {
		i := start(b, rt, dir, "cases.hello")
		ev := event(1, `{"name":"x"}`)
		<-i.next
		for b.Loop() {
			if r, err := i.api.Invoke(b.Context(), ev); err != nil || r.Error != nil {
				b.Fatal(err, r.Error)
			}
			<-i.next
		}
	})
}

// BenchmarkStart is a process from exec to its first request for an event, without a sandbox.
func BenchmarkStart(b *testing.B) {
	each(b, func(b *testing.B, rt bootstrap.Runtime, dir string) {
		for b.Loop() {
			i := start(b, rt, dir, "small.handler")
			<-i.next
			_ = i.cmd.Process.Kill()
			<-i.exited
		}
	})
}

// BenchmarkBareStart is what BenchmarkStart is compared with: the interpreter alone.
func BenchmarkBareStart(b *testing.B) {
	each(b, func(b *testing.B, rt bootstrap.Runtime, _ string) {
		flag := "-c"
		if strings.HasPrefix(rt.Name, "node") {
			flag = "-e"
		}
		for b.Loop() {
			if err := exec.Command(rt.Path, flag, "0").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func each(b *testing.B, f func(*testing.B, bootstrap.Runtime, string)) {
	for _, lang := range []string{"node", "python"} {
		for _, rt := range runtimesOf(b, lang) {
			b.Run(rt.Name, func(b *testing.B) {
				c, err := catalog()
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Compile(b.Context()); err != nil {
					b.Fatal(err)
				}
				f(b, rt, "testdata/"+lang)
			})
		}
	}
}

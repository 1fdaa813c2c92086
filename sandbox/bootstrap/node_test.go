package bootstrap_test

import "testing"

func TestNodeHello(t *testing.T) {
	for _, rt := range runtimesOf(t, "nodejs") {
		t.Run(rt.Name, func(t *testing.T) {
			i := start(t, rt, "testdata/node", "app.hello")
			for n := 1; n <= 3; n++ {
				r := i.invoke(`{"name":"wörld"}`)
				if want := `{"hello":"wörld","id":"` + id(n) + `"}`; string(r.Payload) != want {
					t.Errorf("got %s, want %s\n%s", r.Payload, want, i.output)
				}
			}
		})
	}
}

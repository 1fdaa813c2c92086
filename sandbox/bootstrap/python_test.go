package bootstrap_test

import "testing"

func TestPythonHello(t *testing.T) {
	for _, rt := range runtimesOf(t, "python") {
		t.Run(rt.Name, func(t *testing.T) {
			i := start(t, rt, "testdata/python", "app.hello")
			for n := 1; n <= 3; n++ {
				r := i.invoke(`{"name":"wörld"}`)
				if want := `{"hello": "w\u00f6rld", "id": "` + id(n) + `"}`; rt.Name < "python3.12" && string(r.Payload) != want {
					t.Errorf("got %s, want %s\n%s", r.Payload, want, i.output)
				}
			}
		})
	}
}

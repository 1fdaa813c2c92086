package function_test

import (
	"reflect"
	"testing"

	"mayfly"
	"mayfly/function"
)

func TestAliasesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, function.Options{})
	w.create(t, input(t, "f"))
	w.settled(t, id("f"))
	for _, timeout := range []int{1, 2} {
		memory := 128 * timeout
		if _, err := w.UpdateConfig(t.Context(), id("f"), function.ConfigInput{MemoryMB: &memory}); err != nil {
			t.Fatal(err)
		}
		w.settled(t, id("f"))
		if _, err := w.Publish(t.Context(), id("f"), function.PublishInput{}); err != nil {
			t.Fatal(err)
		}
	}
	in := function.AliasInput{Function: id("f"), Name: "live", Version: "1", Description: "d", Weights: map[string]float64{"2": 0.25}}
	made, err := w.CreateAlias(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreateURL(t.Context(), function.URLInput{Function: id("f"), Qualifier: "live", AuthType: "NONE"}); err != nil {
		t.Fatal(err)
	}
	w.close()

	draw := 0.0
	w = open(t, dir, function.Options{Random: func() float64 { return draw }})
	if got, err := w.GetAlias(id("f"), "live"); err != nil || !reflect.DeepEqual(got, made) {
		t.Errorf("after a restart: %+v, %v; want %+v", got, err, made)
	}
	if _, err := w.GetURL(id("f"), "live"); err != nil {
		t.Errorf("the alias's URL: %v", err)
	}
	for at, want := range map[float64]string{0: "2", 0.249: "2", 0.25: "1", 0.999: "1"} {
		draw = at
		if v, err := w.Route(id("f"), "live"); err != nil || v.Version != want {
			t.Errorf("drawing %v: %v, %v; want version %s", at, v, err, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		_, _ = w.Route(id("f"), "live")
		_, _ = w.Lookup(id("f"), "live")
	}); n != 0 {
		t.Errorf("finding an alias's version allocates %v times", n)
	}
	if err := w.Delete(t.Context(), id("f"), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.GetAlias(id("f"), "live"); mayfly.KindOf(err) != mayfly.KindNotFound {
		t.Errorf("the function is gone, its alias: %v", err)
	}
	w.close()
	w = open(t, dir, function.Options{}) // the alias has no function, if it is still there
	if _, err := w.GetAlias(id("f"), "live"); mayfly.KindOf(err) != mayfly.KindNotFound {
		t.Errorf("after another restart: %v", err)
	}
}

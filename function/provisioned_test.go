package function_test

import (
	"testing"

	"mayfly"
	"mayfly/function"
)

func TestProvisionedSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, function.Options{})
	in := input(t, "f")
	in.Publish = true
	w.create(t, in)
	w.settled(t, id("f"))
	if _, err := w.CreateAlias(t.Context(), function.AliasInput{Function: id("f"), Name: "live", Version: "1"}); err != nil {
		t.Fatal(err)
	}
	changes := 0
	w.OnChange(func(mayfly.FunctionID) { changes++ })
	if _, err := w.Provision(t.Context(), id("f"), "live", 5); err != nil {
		t.Fatal(err)
	}
	if changes != 1 {
		t.Errorf("%d changes were told, want 1", changes)
	}
	w.close()

	w = open(t, dir, function.Options{})
	wanted := func() map[string]int {
		m := map[string]int{}
		w.ProvisionedVersions(id("f"), func(v *mayfly.Version, n int) { m[v.Version] += n })
		return m
	}
	if ids := w.ProvisionedFunctions(); len(ids) != 1 || ids[0] != id("f") || wanted()["1"] != 5 {
		t.Errorf("after a restart: %v %v", ids, wanted())
	}
	one, err := w.Lookup(id("f"), "1")
	if err != nil {
		t.Fatal(err)
	}
	if n := w.Provisioned(one); n != 5 || w.SetAside("000000000000", "us-east-1") != 5 {
		t.Errorf("%d of %d are the version's, want 5 of 5", n, w.SetAside("000000000000", "us-east-1"))
	}
	if n := testing.AllocsPerRun(100, func() { w.Provisioned(one) }); n != 0 {
		t.Errorf("asking allocates %v times", n)
	}
	if err := w.Reserve(t.Context(), id("f"), 7); err != nil {
		t.Fatal(err)
	}
	if n := w.Provisioned(one); n != 0 || w.SetAside("000000000000", "us-east-1") != 7 {
		t.Errorf("with a reservation: %d, %d set aside", n, w.SetAside("000000000000", "us-east-1"))
	}
	if err := w.DeleteAlias(t.Context(), id("f"), "live"); err != nil {
		t.Fatal(err)
	}
	if len(wanted()) != 0 {
		t.Errorf("the alias is gone: %v", wanted())
	}
	if _, err := w.Provision(t.Context(), id("f"), "1", 2); err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(t.Context(), id("f"), "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.GetProvisioned(id("f"), "1"); mayfly.KindOf(err) != mayfly.KindNotFound {
		t.Errorf("the version is gone: %v", err)
	}
}

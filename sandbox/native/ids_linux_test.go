package native

import "testing"

func TestIDs(t *testing.T) {
	s := &ids{base: 1 << 31, total: 3, live: map[uint32]bool{}}
	take := func() uint32 {
		t.Helper()
		id, err := s.take()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	a, b := take(), take()
	if a != 1<<31 || b != a+UIDsPerSandbox {
		t.Fatalf("%d %d", a, b)
	}
	s.give(a)
	if c := take(); c == a {
		t.Error("a range was given out again before the others")
	}
	if d := take(); d != a {
		t.Errorf("%d, want the freed %d", d, a)
	}
	if _, err := s.take(); err == nil {
		t.Error("a range was shared")
	}
	if _, err := openIDs(1000); err == nil {
		t.Error("a base within the host's users was taken")
	}
}

func TestIDSlots(t *testing.T) {
	a, err := openIDs(0)
	if err != nil {
		t.Skip(err) // not root, or many servers
	}
	defer a.close()
	b, err := openIDs(0)
	if err != nil {
		t.Skip(err)
	}
	defer b.close()
	if a.base == b.base {
		t.Errorf("two servers share %d", a.base)
	}
}

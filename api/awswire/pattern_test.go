package awswire

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestPatternsCompile also finds patterns of new models that need an entry in lookarounds.
func TestPatternsCompile(t *testing.T) {
	files, err := filepath.Glob("models/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no models", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Shapes map[string]struct{ Pattern string }
		}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		for name, s := range m.Shapes {
			if _, err := compilePattern(s.Pattern); err != nil {
				t.Errorf("%s: %s: %v", file, name, err)
			}
		}
	}
}

func TestLookarounds(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`, "live", true},
		{`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`, "1a", true},
		{`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`, "12", false},
		{`((?!^\d+$)^[0-9a-zA-Z-_]+$)`, "12", false},
		{`((?!^\d+$)^[0-9a-zA-Z-_]+$)`, "1-2", true},
		{`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`, "systems", true},
		{`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`, "system.x", false},
		{`[0-9A-Za-z\.\-_]*(?<!\.)`, "a.b", true},
		{`[0-9A-Za-z\.\-_]*(?<!\.)`, "a.", false},
		{`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`, "a-b", true},
		{`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`, "a--b", false},
	} {
		if got := mustPattern(tt.pattern).satisfied(tt.text); got != tt.want {
			t.Errorf("%s on %q: got %v", tt.pattern, tt.text, got)
		}
	}
}

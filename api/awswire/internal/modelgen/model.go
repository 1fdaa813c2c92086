package modelgen

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

type model struct {
	Metadata struct {
		APIVersion     string `json:"apiVersion"`
		EndpointPrefix string `json:"endpointPrefix"`
		SigningName    string `json:"signingName"`
		Protocol       string `json:"protocol"`
		JSONVersion    string `json:"jsonVersion"`
		TargetPrefix   string `json:"targetPrefix"`
		ServiceID      string `json:"serviceId"`
		XMLNamespace   string `json:"xmlNamespace"`
	} `json:"metadata"`
	Operations map[string]*operation `json:"operations"`
	Shapes     map[string]*shape     `json:"shapes"`
}

type operation struct {
	HTTP struct {
		Method       string `json:"method"`
		RequestURI   string `json:"requestUri"`
		ResponseCode int    `json:"responseCode"`
	} `json:"http"`
	Input  *ref `json:"input"`
	Output *ref `json:"output"`
}

type ref struct {
	Shape         string `json:"shape"`
	Location      string `json:"location"`
	LocationName  string `json:"locationName"`
	ResultWrapper string `json:"resultWrapper"`
}

type shape struct {
	Type      string          `json:"type"`
	Members   map[string]*ref `json:"members"`
	Required  []string        `json:"required"`
	Payload   string          `json:"payload"`
	Key       *ref            `json:"key"`
	Value     *ref            `json:"value"`
	Member    *ref            `json:"member"`
	Min       *float64        `json:"min"`
	Max       *float64        `json:"max"`
	Pattern   string          `json:"pattern"`
	Enum      []string        `json:"enum"`
	Sensitive bool            `json:"sensitive"`
	Exception bool            `json:"exception"`
	unchecked bool
	Fault     bool `json:"fault"`
	Error     *struct {
		Code           string `json:"code"`
		HTTPStatusCode int    `json:"httpStatusCode"`
		SenderFault    bool   `json:"senderFault"`
	} `json:"error"`
}

func load(root string, t Target) (*model, error) {
	text, err := os.ReadFile(filepath.Join(root, "models", t.Model))
	if err != nil {
		return nil, err
	}
	m := new(model)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", t.Model, err)
	}
	for name, o := range t.Overrides {
		s := m.Shapes[name]
		if s == nil {
			return nil, fmt.Errorf("%s: override of shape %s, which is not in the model", t.Model, name)
		}
		if o.Max != nil {
			s.Max = o.Max
		}
		s.unchecked = o.Unchecked
	}
	return m, nil
}

// reachable returns the names of the shapes that operations' inputs and outputs use, sorted.
func (m *model) reachable() []string {
	seen := map[string]bool{}
	var walk func(r *ref)
	walk = func(r *ref) {
		if r == nil || seen[r.Shape] {
			return
		}
		seen[r.Shape] = true
		s := m.Shapes[r.Shape]
		for _, member := range s.Members {
			walk(member)
		}
		walk(s.Member)
		walk(s.Key)
		walk(s.Value)
	}
	for _, o := range m.Operations {
		walk(o.Input)
		walk(o.Output)
	}
	return sortedKeys(seen)
}

// constrained tells whether values of the shape are checked beyond their type, in themselves or in their elements.
func (m *model) constrained(name string) bool {
	s := m.Shapes[name]
	if s.Type == "structure" {
		return false // checked member by member
	}
	if s.Min != nil && (*s.Min != 0 || s.numeric()) || s.Max != nil || s.Pattern != "" || len(s.Enum) > 0 {
		return true
	}
	for _, r := range []*ref{s.Member, s.Key, s.Value} {
		if r != nil && m.constrained(r.Shape) {
			return true
		}
	}
	return false
}

func (s *shape) numeric() bool {
	switch s.Type {
	case "integer", "long", "double", "float":
		return true
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

package awswire

import (
	"net/url"
	"strings"
)

// uriTree matches paths against the operations' URI patterns, one segment at a time.
type uriTree struct {
	literal map[string]*uriTree
	label   *uriTree
	greedy  bool // the label takes the rest of the path
	ops     []*Operation
}

func newURITree(ops []Operation) *uriTree {
	root := new(uriTree)
	for i := range ops {
		path, _, _ := strings.Cut(ops[i].URI, "?")
		node := root
		for _, seg := range strings.Split(strings.Trim(path, "/"), "/") {
			if strings.HasPrefix(seg, "{") {
				if node.label == nil {
					node.label = &uriTree{greedy: strings.HasSuffix(seg, "+}")}
				}
				node = node.label
				continue
			}
			if node.literal == nil {
				node.literal = map[string]*uriTree{}
			}
			if node.literal[seg] == nil {
				node.literal[seg] = new(uriTree)
			}
			node = node.literal[seg]
		}
		node.ops = append(node.ops, &ops[i])
	}
	return root
}

// match finds the operation for a method and an escaped path, and appends the values of its labels to labels. known tells whether the path
// belongs to an operation at all, with another method. A trailing slash is ignored: older SDKs send one.
func (t *uriTree) match(method, path, rawQuery string, labels []string) (op *Operation, _ []string, known bool) {
	node, rest := t, strings.Trim(path, "/")
	for rest != "" {
		seg, tail, _ := strings.Cut(rest, "/")
		if next := node.literal[seg]; next != nil {
			node, rest = next, tail
			continue
		}
		if node.label == nil {
			return nil, nil, false
		}
		node = node.label
		if node.greedy {
			seg, tail = rest, ""
		}
		value, err := url.PathUnescape(seg)
		if err != nil {
			return nil, nil, false
		}
		labels, rest = append(labels, value), tail
	}
	for _, o := range node.ops {
		if o.Method != method {
			continue
		}
		_, constant, has := strings.Cut(o.URI, "?")
		if !has {
			if op == nil {
				op = o
			}
		} else if hasParam(rawQuery, constant) {
			op = o
			break
		}
	}
	return op, labels, len(node.ops) > 0
}

// hasParam tells whether the query holds the pattern's constant, such as find=LayerVersion.
func hasParam(rawQuery, constant string) bool {
	for part := range strings.SplitSeq(rawQuery, "&") {
		if part == constant {
			return true
		}
	}
	return false
}

func labelNames(uri string) []string {
	path, _, _ := strings.Cut(uri, "?")
	var names []string
	for _, seg := range strings.Split(path, "/") {
		if strings.HasPrefix(seg, "{") {
			names = append(names, strings.TrimRight(strings.Trim(seg, "{}"), "+"))
		}
	}
	return names
}

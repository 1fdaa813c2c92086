package identity

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"mayfly"
)

// Messages of MalformedPolicyDocument, as IAM words them.
const (
	msgSyntax       = "Syntax errors in policy."
	msgTrustJSON    = "This policy contains invalid Json"
	msgVersion      = "Policy document must be version 2012-10-17 or greater."
	msgActions      = "Policy statement must contain actions."
	msgResources    = "Policy statement must contain resources."
	msgPrincipal    = "Policy document should not specify a principal."
	msgVendor       = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	msgSids         = "Statement IDs (SID) in a single policy must be unique."
	msgNoPrincipal  = "Missing required field Principal"
	msgHasResource  = "Has prohibited field Resource"
	msgTrustActions = "AssumeRole policy may only specify STS AssumeRole actions."
)

var (
	sidForm    = regexp.MustCompile(`^[0-9A-Za-z]*$`)
	actionForm = regexp.MustCompile(`^(\*|[A-Za-z0-9-]+:\S+)$`)
	arnForm    = regexp.MustCompile(`^(\*|arn:.*|\$\{.*)$`)

	topElements       = []string{"Version", "Id", "Statement"}
	statementElements = []string{"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal", "NotPrincipal"}
	trustActions      = []string{"sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity", "sts:SetContext", "sts:*", "sts:AssumeRole*", "*"}
)

// checkPolicy checks an identity-based policy document: one that says what its role may do.
func checkPolicy(document string) error { return checkDocument(document, false) }

// checkManaged checks a managed policy's document and its size.
func checkManaged(document string) error {
	if visible(document) > maxManagedSize {
		return quota("PolicySize", maxManagedSize)
	}
	return checkDocument(document, false)
}

// checkTrust checks an assume role policy document: one that says who may take on its role.
func checkTrust(document string) error {
	if visible(document) > maxTrustSize {
		return quota("ACLSizePerRole", maxTrustSize)
	}
	return checkDocument(document, true)
}

// checkDocument applies the grammar of IAM's JSON policies
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
func checkDocument(document string, trust bool) error {
	syntax := msgSyntax
	if trust {
		syntax = msgTrustJSON
	}
	var top map[string]json.RawMessage
	if json.Unmarshal([]byte(document), &top) != nil || top == nil {
		return malformed(syntax)
	}
	if !within(top, topElements) || top["Statement"] == nil {
		return malformed(msgSyntax)
	}
	version := "2008-10-17"
	if raw, ok := top["Version"]; ok && json.Unmarshal(raw, &version) != nil {
		return malformed(msgSyntax)
	}
	switch {
	case version == "2012-10-17", version == "2008-10-17" && trust:
	case version == "2008-10-17":
		return malformed(msgVersion)
	default:
		return malformed(msgSyntax)
	}
	statements, ok := oneOrMany[map[string]json.RawMessage](top["Statement"])
	if !ok {
		return malformed(msgSyntax)
	}
	seen := map[string]bool{}
	for _, st := range statements {
		if message := checkStatement(st, trust); message != "" {
			return malformed(message)
		}
		var sid string
		if raw, ok := st["Sid"]; ok {
			if json.Unmarshal(raw, &sid) != nil || (!trust && !sidForm.MatchString(sid)) {
				return malformed(msgSyntax)
			}
			if sid != "" && seen[sid] {
				return malformed(msgSids)
			}
			seen[sid] = true
		}
	}
	return nil
}

// checkStatement returns what is wrong with a statement, or "".
func checkStatement(st map[string]json.RawMessage, trust bool) string {
	if st == nil || !within(st, statementElements) {
		return msgSyntax
	}
	var effect string
	if raw, ok := st["Effect"]; !ok {
		if trust {
			return "Missing required field Effect"
		}
		return msgSyntax
	} else if json.Unmarshal(raw, &effect) != nil || (effect != "Allow" && effect != "Deny") {
		if trust {
			return "Invalid effect: " + effect
		}
		return msgSyntax
	}
	if raw, ok := st["Condition"]; ok {
		var condition map[string]map[string]json.RawMessage
		if json.Unmarshal(raw, &condition) != nil {
			return msgSyntax
		}
	}
	actions, message := either(st, "Action", "NotAction", msgActions)
	if message != "" {
		return message
	}
	for _, a := range actions {
		if !actionForm.MatchString(a) {
			return msgVendor
		}
		if trust && !slices.ContainsFunc(trustActions, func(t string) bool { return strings.EqualFold(t, a) }) {
			return msgTrustActions
		}
	}
	if trust {
		return checkTrustStatement(st)
	}
	if st["Principal"] != nil || st["NotPrincipal"] != nil {
		return msgPrincipal
	}
	resources, message := either(st, "Resource", "NotResource", msgResources)
	if message != "" {
		return message
	}
	for _, r := range resources {
		if !arnForm.MatchString(r) {
			return "Resource " + r + ` must be in ARN format or "*".`
		}
		if strings.HasPrefix(r, "arn:") && strings.Count(r, ":") < 5 && !strings.HasSuffix(r, "*") {
			return "The policy failed legacy parsing"
		}
	}
	return ""
}

func checkTrustStatement(st map[string]json.RawMessage) string {
	if st["Resource"] != nil || st["NotResource"] != nil {
		return msgHasResource
	}
	raw := st["Principal"]
	if raw == nil {
		raw = st["NotPrincipal"]
	}
	if raw == nil {
		return msgNoPrincipal
	}
	var everyone string
	if json.Unmarshal(raw, &everyone) == nil {
		if everyone != "*" {
			return "Invalid principal in policy: \"STRING\":\"" + everyone + "\""
		}
		return ""
	}
	var byKind map[string]json.RawMessage
	if json.Unmarshal(raw, &byKind) != nil || len(byKind) == 0 {
		return msgSyntax
	}
	for kind, value := range byKind {
		switch kind {
		case "AWS", "Service", "Federated", "CanonicalUser":
		default:
			return "Invalid principal in policy: \"" + kind + "\""
		}
		list, ok := oneOrMany[string](value)
		if !ok {
			return msgSyntax
		}
		for _, p := range list {
			if p == "" || (kind == "Service" && p != "*" && !strings.Contains(p, ".")) {
				return "Invalid principal in policy: \"" + strings.ToUpper(kind) + "\":\"" + p + "\""
			}
		}
	}
	return ""
}

// either returns the strings of whichever of two elements is there; both or neither is an error.
func either(st map[string]json.RawMessage, is, not, missing string) ([]string, string) {
	a, b := st[is], st[not]
	if a != nil && b != nil {
		return nil, msgSyntax
	}
	if a == nil {
		a = b
	}
	if a == nil {
		return nil, missing
	}
	list, ok := oneOrMany[string](a)
	if !ok {
		return nil, msgSyntax
	}
	if len(list) == 0 {
		return nil, missing
	}
	return list, ""
}

// oneOrMany decodes a T or a list of T.
func oneOrMany[T any](raw json.RawMessage) ([]T, bool) {
	var many []T
	if json.Unmarshal(raw, &many) == nil && string(raw) != "null" {
		return many, true
	}
	var one T
	if json.Unmarshal(raw, &one) == nil && string(raw) != "null" {
		return []T{one}, true
	}
	return nil, false
}

func within(m map[string]json.RawMessage, allowed []string) bool {
	for k := range m {
		if !slices.Contains(allowed, k) {
			return false
		}
	}
	return true
}

func malformed(message string) error {
	return failure(mayfly.KindInvalid, codeMalformedPolicy, message)
}

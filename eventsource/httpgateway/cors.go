package httpgateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"mayfly"
)

// isPreflight tells whether a browser asks beforehand if a page of another origin may send a request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// corsHeaders are the ones that a policy sets; a function's own are dropped when there is a policy, so that a browser
// never sees two.
var corsHeaders = []string{
	"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers",
	"Access-Control-Allow-Methods", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
}

// applyCORS sets a policy's headers on an answer to r. A nil policy leaves everything to the function.
func applyCORS(h http.Header, r *http.Request, policy *mayfly.CORS) {
	if policy == nil {
		return
	}
	for _, name := range corsHeaders {
		h.Del(name)
	}
	addVary(h, "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !originAllowed(policy.AllowOrigins, origin) {
		return
	}
	// A browser does not take "*" when cookies are sent along.
	if slices.Contains(policy.AllowOrigins, "*") && !policy.AllowCredentials {
		origin = "*"
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if policy.AllowCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if isPreflight(r) {
		set := func(name string, list []string, asked string) {
			switch {
			case len(list) == 0:
			case slices.Contains(list, "*") && policy.AllowCredentials && asked != "":
				h.Set(name, asked)
			default:
				h.Set(name, strings.Join(list, ","))
			}
		}
		set("Access-Control-Allow-Methods", policy.AllowMethods, r.Header.Get("Access-Control-Request-Method"))
		set("Access-Control-Allow-Headers", policy.AllowHeaders, r.Header.Get("Access-Control-Request-Headers"))
		if policy.MaxAge != nil {
			h.Set("Access-Control-Max-Age", strconv.Itoa(*policy.MaxAge))
		}
	} else if len(policy.ExposeHeaders) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(policy.ExposeHeaders, ","))
	}
}

// originAllowed matches an origin against origins, "*", and the schemes "http://*" and "https://*".
func originAllowed(allowed []string, origin string) bool {
	for _, a := range allowed {
		scheme, any := strings.CutSuffix(a, "://*")
		if a == "*" || strings.EqualFold(a, origin) || (any && strings.HasPrefix(strings.ToLower(origin), strings.ToLower(scheme)+"://")) {
			return true
		}
	}
	return false
}

func addVary(h http.Header, name string) {
	for _, line := range h.Values("Vary") {
		for v := range strings.SplitSeq(line, ",") {
			if v = strings.TrimSpace(v); v == "*" || strings.EqualFold(v, name) {
				return
			}
		}
	}
	h.Add("Vary", name)
}

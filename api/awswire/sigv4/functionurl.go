package sigv4

import (
	"net/http"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/eventsource/httpgateway"
)

var lambdaURL = &awswire.Service{Name: "lambda", ID: "Lambda", Protocol: awswire.RestJSON}

// FunctionURL authenticates a request to a function URL whose callers must sign: it is httpgateway.Options.Authenticate.
func (a *Authenticator) FunctionURL(r *http.Request, body []byte) (httpgateway.Caller, error) {
	id, err := a.Authenticate(r, lambdaURL, func() ([]byte, error) { return body, nil })
	if err != nil {
		kind := mayfly.KindDenied
		if err.Server {
			kind = mayfly.KindInternal
		}
		return httpgateway.Caller{}, &mayfly.Error{Kind: kind, Message: err.Message, Err: err}
	}
	caller := httpgateway.Caller{AccessKeyID: id.AccessKeyID, Account: id.Account, PrincipalARN: id.PrincipalARN, UserID: id.Account}
	if s, err := Parse(r); err == nil {
		if key, err := a.o.Source.Key(s.AccessKeyID, s.SessionToken); err == nil {
			caller.UserID = key.UserID
		}
	}
	return caller, nil
}

package lambda

import (
	"net/http"
	"time"

	"mayfly"
	"mayfly/api/awswire"
	"mayfly/api/awswire/lambdaapi"
)

// urlTime is how Lambda prints the times of function URLs.
const urlTime = "2006-01-02T15:04:05.000000Z"

// urlTarget reads the function and alias that a function URL belongs to.
func (s *Service) urlTarget(r *awswire.Request, name string, qualifier *string) (target, error) {
	t, err := s.target(r, name, awswire.Value(qualifier))
	if err != nil {
		return t, err
	}
	if t.qualifier == mayfly.Latest {
		t.qualifier = ""
	}
	if _, err := s.lookup(t); err != nil {
		if mayfly.KindOf(err) == mayfly.KindNotFound {
			err = mayfly.Errorf(mayfly.KindNotFound, "Function does not exist")
		}
		return t, err
	}
	return t, nil
}

// noURL words the lack of a URL as Lambda does.
func noURL(err error) error {
	if mayfly.KindOf(err) == mayfly.KindNotFound {
		return mayfly.Errorf(mayfly.KindNotFound, "The resource you requested does not exist.")
	}
	return err
}

func checkInvokeMode(mode *string) error {
	if awswire.Value(mode) == "RESPONSE_STREAM" {
		return unsupported("InvokeMode RESPONSE_STREAM", "use BUFFERED")
	}
	return nil
}

func (s *Service) urlConfig(u *mayfly.URLConfig, r *http.Request) lambdaapi.FunctionUrlConfig {
	return lambdaapi.FunctionUrlConfig{
		FunctionUrl:      awswire.Ptr(s.options.URLFor(u, r)),
		FunctionArn:      awswire.Ptr(u.Function.ARN(u.Qualifier)),
		AuthType:         &u.AuthType,
		InvokeMode:       awswire.Ptr(or(u.InvokeMode, "BUFFERED")),
		Cors:             corsOut(u.CORS),
		CreationTime:     awswire.Ptr(formatURLTime(u.CreatedAt)),
		LastModifiedTime: awswire.Ptr(formatURLTime(u.ModifiedAt)),
	}
}

func formatURLTime(t time.Time) string { return t.UTC().Format(urlTime) }

func corsIn(c *lambdaapi.Cors) *mayfly.CORS {
	if c == nil {
		return nil
	}
	return &mayfly.CORS{AllowCredentials: awswire.Value(c.AllowCredentials), AllowHeaders: c.AllowHeaders, AllowMethods: c.AllowMethods,
		AllowOrigins: c.AllowOrigins, ExposeHeaders: c.ExposeHeaders, MaxAge: c.MaxAge}
}

func corsOut(c *mayfly.CORS) *lambdaapi.Cors {
	if c == nil {
		return nil
	}
	out := &lambdaapi.Cors{AllowHeaders: c.AllowHeaders, AllowMethods: c.AllowMethods, AllowOrigins: c.AllowOrigins,
		ExposeHeaders: c.ExposeHeaders, MaxAge: c.MaxAge}
	if c.AllowCredentials {
		out.AllowCredentials = awswire.Ptr(true)
	}
	return out
}

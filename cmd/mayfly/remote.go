package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"
)

const (
	defaultEndpoint = "http://127.0.0.1:4566"
	defaultRegion   = "us-east-1"
)

// remote is the server that a command talks to, as its flags and the environment name it.
type remote struct {
	endpoint string
	region   string
}

// addFlags gives cmd the flags that choose a server.
func (r *remote) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.endpoint, "endpoint", "", "server to talk to (MAYFLY_ENDPOINT, AWS_ENDPOINT_URL; default "+defaultEndpoint+")")
	cmd.Flags().StringVar(&r.region, "region", "", "region to act in (AWS_REGION, AWS_DEFAULT_REGION; default "+defaultRegion+")")
}

// connection is a resolved remote: an endpoint, a region and credentials to sign with.
type connection struct {
	endpoint string // without a slash at the end
	region   string
	creds    aws.CredentialsProvider
	signing  bool // the credentials are the user's own, so Mayfly's own endpoints are signed too
	http     *http.Client
}

func (r *remote) connect(ctx context.Context) (*connection, error) {
	c := &connection{
		endpoint: strings.TrimRight(cmp.Or(r.endpoint, os.Getenv("MAYFLY_ENDPOINT"), os.Getenv("AWS_ENDPOINT_URL"), defaultEndpoint), "/"),
		region:   cmp.Or(r.region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), defaultRegion),
		http:     &http.Client{},
	}
	if u, err := url.Parse(c.endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%q is not an endpoint: it has to look like %s", c.endpoint, defaultEndpoint)
	}
	if os.Getenv("AWS_ACCESS_KEY_ID") == "" && os.Getenv("AWS_PROFILE") == "" {
		// A server on loopback without access keys accepts any signature; "test" is what local AWS tools sign with.
		c.creds = credentials.NewStaticCredentialsProvider("test", "test", "")
		return c, nil
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(c.region))
	if err != nil {
		return nil, fmt.Errorf("reading AWS credentials: %w", err)
	}
	c.creds, c.signing = cfg.Credentials, true
	return c, nil
}

// lambda returns a client of the Lambda API there.
func (c *connection) lambda() *lambda.Client {
	return lambda.New(lambda.Options{
		BaseEndpoint: aws.String(c.endpoint), Region: c.region, Credentials: c.creds, HTTPClient: c.http, Retryer: newRetryer(),
	})
}

// iam returns a client of the IAM API there.
func (c *connection) iam() *iam.Client {
	return iam.New(iam.Options{
		BaseEndpoint: aws.String(c.endpoint), Region: c.region, Credentials: c.creds, HTTPClient: c.http, Retryer: newRetryer(),
	})
}

// newRetryer is the SDK's own, except that a server that is not there is not waited for.
func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		refused := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			if errors.Is(err, syscall.ECONNREFUSED) {
				return aws.FalseTernary
			}
			return aws.UnknownTernary
		})
		o.Retryables = append([]retry.IsErrorRetryable{refused}, o.Retryables...)
	})
}

// get asks one of Mayfly's own endpoints (/_mayfly/…). The caller closes the body.
func (c *connection) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	q := maps.Clone(query)
	if q == nil {
		q = url.Values{}
	}
	q.Set("region", c.region)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.endpoint+path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if c.signing {
		creds, err := c.creds.Retrieve(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading AWS credentials: %w", err)
		}
		empty := sha256.Sum256(nil)
		if err := v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(empty[:]), "mayfly", c.region, time.Now()); err != nil {
			return nil, err
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	return nil, c.refusal(res, path)
}

// refusal turns an answer other than 200 into an error that quotes it.
func (c *connection) refusal(res *http.Response, path string) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	var e struct{ Code, Type, Message, Error string }
	_ = json.Unmarshal(body, &e) // an answer that is not JSON is quoted as it is
	text := cmp.Or(e.Message, e.Error)
	switch {
	case text == "" && res.StatusCode == http.StatusNotFound:
		text = fmt.Sprintf("the server at %s does not know %s: is it Mayfly, and as new as this tool (%s)?", c.endpoint, path, version)
	case text == "" || res.StatusCode >= http.StatusInternalServerError:
		text = fmt.Sprintf("%s answered %s: %s", c.endpoint+path, res.Status, cmp.Or(text, strings.TrimSpace(string(body))))
	case res.StatusCode == http.StatusUnauthorized:
		text += signHint
	}
	return &refusedError{status: res.StatusCode, text: text}
}

// signHint is what to do when a server does not accept a signature, or the lack of one.
const signHint = "\nThis server takes requests that are signed with one of its access keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to it."

// signErrors are AWS's codes for that.
var signErrors = []string{
	"MissingAuthenticationTokenException", "MissingAuthenticationToken", "UnrecognizedClientException", "InvalidClientTokenId",
	"InvalidSignatureException", "SignatureDoesNotMatch",
}

// refusedError is an answer of one of Mayfly's own endpoints other than 200.
type refusedError struct {
	status int
	text   string
}

func (e *refusedError) Error() string { return e.text }

// getJSON decodes an answer of one of Mayfly's own endpoints into out.
func (c *connection) getJSON(ctx context.Context, path string, query url.Values, out any) error {
	body, err := c.get(ctx, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("%s%s: reading the answer: %w", c.endpoint, path, err)
	}
	return nil
}

// explain words an error for a person: what AWS's API said without the SDK's wrapping, and what to do when no server
// answers.
func explain(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		text := api.ErrorCode() + ": " + cmp.Or(api.ErrorMessage(), "(no message)")
		if slices.Contains(signErrors, api.ErrorCode()) {
			text += signHint
		}
		return text
	}
	var at *url.Error
	if errors.Is(err, syscall.ECONNREFUSED) && errors.As(err, &at) {
		where := at.URL
		if u, perr := url.Parse(at.URL); perr == nil {
			where = u.Scheme + "://" + u.Host
		}
		return "no server answers at " + where + ": start one with `mayfly serve`, or name another with --endpoint"
	}
	return err.Error()
}

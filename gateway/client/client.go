package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// maxAnswer bounds what is read of an answer, in bytes: a page of 1000 keys is
// far below it.
const maxAnswer = 8 << 20

// auditHeader names the audit record of a call: its number, a colon, its hash.
const auditHeader = "Hsmgate-Audit-Record"

// regionHeader names the region that a call goes to.
const regionHeader = "Hsmgate-Region"

// Client speaks to one gateway. Set the fields before the first call.
type Client struct {
	URL   string // http://127.0.0.1:8080 or https://…, without /v1
	Token string // bearer token; "" for a caller whom a client certificate authenticates
	// TokenFile holds the bearer token, in place of Token. It is read for each
	// request, since who gave it, such as Kubernetes, writes a new one in time.
	TokenFile string
	// Identity gives the token of an identity provider, which the client exchanges for a
	// session of a role, in place of Token. FromEnv finds it.
	Identity func(context.Context) (string, error)
	// Role is the ARN of that role; "" is the first that the token may have.
	Role string
	// AWS holds an access key of the gateway with which requests are signed (Signature
	// Version 4), in place of all of these, and the region that they are signed for where
	// Region is empty. Without Credentials there is none.
	AWS aws.Config
	// Region is the region that the calls go to. Empty is the gateway's home region.
	Region string
	// HTTP is what the requests go through; nil is a client of its own kind
	// with the usual proxy settings. Its CheckRedirect is not used: a redirect
	// is never followed, since the token would go with it.
	HTTP *http.Client
	// UserAgent stands in the audit record. Empty is "hsmgate-client".
	UserAgent string
	// Attempts is how often a call is tried while the gateway answers 429 or
	// 503, and, where a repeat does no harm, while the connection breaks. 0 is 4; 1
	// never tries again. Unless it is 1, each signature has an idempotency key, so that a
	// repeat gives the same signature and one record of it.
	Attempts int
	// MaxWait is the longest pause between two attempts; when the gateway asks
	// for a longer one its error is returned at once. 0 is 10s.
	MaxWait time.Duration
	// RetryFor is how long calls are tried again, beyond Attempts, while a gateway that has
	// answered this client is away, such as for a restart: its connections break, or it or
	// the proxy before it answers 502, 503 or 504. It counts from the first failure of any
	// call, and is for calls of which a repeat does no harm. 0 is 30s; a negative one is none.
	RetryFor time.Duration
	// Together has signatures that are asked for while the gateway is busy with others of
	// this client go in one request, up to 1,000 of a key, which costs the gateway much
	// less than a request for each. Each has its own answer, as if it was asked for alone.
	Together bool
	// Linger is how long the answer to a request for such signatures that is under way is waited for after the context of a caller was
	// cancelled, so that what was signed arrives. 0 is not at all. No request is begun in that time.
	Linger time.Duration

	once     sync.Once
	http     *http.Client
	session  session
	outage   outage
	together together
}

// New makes a client for the gateway at this URL.
func New(url, token string) *Client { return &Client{URL: url, Token: token} }

// ResponseError is a refusal of the gateway.
type ResponseError struct {
	Status    int        // of HTTP
	RequestID string     // under which an operator finds the call
	Err       *api.Error // code and message
	foreign   bool       // it is no problem document of the gateway: something on the way answers
}

func (e *ResponseError) Error() string {
	if e.RequestID == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + " (request " + e.RequestID + ")"
}

// Unwrap lets errors.As find the *api.Error.
func (e *ResponseError) Unwrap() error { return e.Err }

// Code returns the code of a refusal of the gateway, or "" for any other error.
func Code(err error) api.Code {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// request is one call, ready to be sent any number of times.
type request struct {
	method, path string
	query        url.Values
	body         []byte // JSON; nil for none
	accept       string
	bearer       string  // in place of the client's; see session
	repeatable   bool    // a second one does no harm
	once         bool    // whoever asks tries again
	record       *string // where to note the audit record of the answer; nil: nowhere
}

// do performs one operation: in becomes the JSON body, the answer an Out. A GET
// takes its members from query.
func do[Out any](ctx context.Context, c *Client, method, path string, query url.Values, in any) (*Out, error) {
	return call[Out](ctx, c, request{method: method, path: path, query: query, accept: "application/json", repeatable: method == http.MethodGet}, in)
}

func call[Out any](ctx context.Context, c *Client, r request, in any) (*Out, error) {
	if in != nil {
		var err error
		if r.body, err = json.Marshal(in); err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
	}
	answer, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	out := new(Out)
	if err := json.Unmarshal(answer, out); err != nil {
		return nil, fmt.Errorf("the answer of %s is not what hsmgate answers: %w", c.URL, err)
	}
	return out, nil
}

// send sends the request until it is answered with something other than 'try
// again', and returns the body of a success.
func (c *Client) send(ctx context.Context, r request) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		body, err := c.sendOnce(ctx, r)
		if r.once {
			return body, err
		}
		pause, again := c.pause(err, attempt, r.repeatable)
		if !again || !fits(ctx, pause) {
			return body, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(ctx.Err(), err)
		case <-timer.C:
		}
	}
}

func (c *Client) sendOnce(ctx context.Context, r request) ([]byte, error) {
	target := strings.TrimRight(c.URL, "/") + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("the gateway's URL cannot be used: %w", err)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", r.accept)
	token := r.bearer
	if token == "" {
		if token, err = c.token(ctx); err != nil {
			return nil, err
		}
	}
	req.Header.Set("User-Agent", c.userAgent())
	if c.Region != "" {
		req.Header.Set(regionHeader, c.Region)
	}
	switch {
	case token != "":
		req.Header.Set("Authorization", "Bearer "+token)
	case c.AWS.Credentials != nil:
		if err := c.sign(ctx, req, r.body); err != nil {
			return nil, err
		}
	}
	resp, err := c.client().Do(req)
	if err != nil {
		return nil, err // *url.Error: method, URL and cause, no header
	}
	defer resp.Body.Close()
	// Read to the end, so that the connection can be used again.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &cutError{c.URL, err}
	}
	if r.record != nil {
		*r.record = resp.Header.Get(auditHeader)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp, body)
	}
	return body, nil
}

func (c *Client) userAgent() string {
	if c.UserAgent == "" {
		return "hsmgate-client"
	}
	return c.UserAgent
}

// client returns the HTTP client that follows no redirect.
func (c *Client) client() *http.Client {
	c.once.Do(func() {
		made := http.Client{Transport: http.DefaultTransport}
		if c.HTTP != nil {
			made = *c.HTTP
		}
		made.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		c.http = &made
	})
	return c.http
}

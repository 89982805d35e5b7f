package timestamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"time"
)

// Client asks authorities for tokens. Its method may be called at the same time.
type Client struct {
	// URLs of authorities, http or https, in the order in which they are asked: each one if those before it give none.
	URLs []string
	// Roots, if not nil, are who has to have issued the certificate of an authority.
	Roots *x509.CertPool
	// HTTP is what the requests go through; nil is http.DefaultClient.
	HTTP *http.Client
	// Authorize, if not nil, adds to a request what its authority asks for.
	Authorize func(*http.Request) error
	// Refused, if not nil, makes the error of an answer that is no 200, of which body is the beginning.
	Refused func(answer *http.Response, body []byte) error
	// Wait is how long each authority may take. 0 is 10s.
	Wait time.Duration
}

// AuthorityError is why one authority gave no token. Those of all that were asked are in the error of Token.
type AuthorityError struct {
	URL string
	Err error
}

func (e *AuthorityError) Error() string { return e.URL + ": " + e.Err.Error() }
func (e *AuthorityError) Unwrap() error { return e.Err }

const defaultWait = 10 * time.Second

// nonceBits is the length of a nonce: authorities are known that take no more than 64 bits.
const nonceBits = 64

// Token gives a token over this digest, in DER, that Check accepts, of the first authority that gives one.
func (c *Client) Token(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	var all []error
	for _, authority := range c.URLs {
		token, err := c.ask(ctx, authority, h, digest)
		if err == nil {
			return token, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		all = append(all, &AuthorityError{authority, err})
	}
	return nil, fmt.Errorf("no timestamp authority gives a token: %w", errors.Join(all...))
}

// ask asks one authority.
func (c *Client) ask(ctx context.Context, authority string, h crypto.Hash, digest []byte) ([]byte, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), nonceBits-1))
	if err != nil {
		return nil, err
	}
	query, err := asn1.Marshal(Request{Version: 1, Imprint: newImprint(h, digest), Nonce: nonce, CertReq: true})
	if err != nil {
		return nil, err
	}
	wait := c.Wait
	if wait == 0 {
		wait = defaultWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	answer, err := c.post(ctx, authority, query)
	if err != nil {
		return nil, err
	}
	token, err := readReply(answer)
	if err != nil {
		return nil, err
	}
	checked, err := Check(token, h, digest, nil, c.Roots)
	if err != nil {
		return nil, err
	}
	if checked.nonce == nil || checked.nonce.Cmp(nonce) != 0 {
		return nil, notGood("it answers another request: its nonce is not the one that was sent")
	}
	return token, nil
}

func (c *Client) post(ctx context.Context, authority string, query []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, authority, bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", QueryType)
	req.Header.Set("Accept", ReplyType)
	if c.Authorize != nil {
		if err := c.Authorize(req); err != nil {
			return nil, err
		}
	}
	via := c.HTTP
	if via == nil {
		via = http.DefaultClient
	}
	resp, err := via.Do(req)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err // whose URL is told already
		}
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxReply+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK && c.Refused != nil:
		return nil, c.Refused(resp, answer)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the authority answers %s", resp.Status)
	case len(answer) > MaxReply:
		return nil, fmt.Errorf("the answer is longer than %d bytes", MaxReply)
	}
	return answer, nil
}

package sink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// web posts records to a server.
type web struct {
	config Config
	client *http.Client
}

const maxAnswer = 64 << 10 // bytes of an answer that are read, for the connection's sake

func newHTTP(c Config) (*web, error) {
	tls, err := clientTLS(c.CAFile)
	if err != nil {
		return nil, err
	}
	w := &web{config: c, client: &http.Client{
		// The records would go to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: tls, ForceAttemptHTTP2: true, MaxIdleConns: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
	}}
	_, err = w.request(context.Background(), []byte("{}"), time.Now()) // shows what is wrong with the files at the start
	return w, err
}

func (w *web) deliver(ctx context.Context, batch []message) error {
	r, err := w.request(ctx, w.body(batch), time.Now())
	if err != nil {
		return err
	}
	resp, err := w.client.Do(r)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) { // whose text has the URL, which may hold a secret
			err = where.Err
		}
		return err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // no more than a courtesy to the connection
	_ = resp.Body.Close()
	return judge(resp)
}

func (w *web) body(batch []message) []byte {
	switch w.config.Body {
	case "single":
		return batch[0].text
	case "array":
		b := []byte{'['}
		for i, m := range batch {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, m.text...)
		}
		return append(b, ']')
	}
	return lines(batch, false)
}

// request makes the request of a body. Its id is that of the body, so that a request that is made again has the same one.
func (w *web) request(ctx context.Context, body []byte, now time.Time) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.config.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the URL makes no request")
	}
	r.Header.Set("Content-Type", "application/json")
	if w.config.Body == "ndjson" {
		r.Header.Set("Content-Type", "application/x-ndjson")
	}
	r.Header.Set("User-Agent", "hsmgate")
	if err := addHeaders(r, w.config.HeadersFile); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	id := fmt.Sprintf("msg_%x", sum[:16])
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if w.config.SecretFile != "" {
		keys, err := readSecrets(w.config.SecretFile)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Webhook-Signature", sign(keys, id, now, body))
	}
	return r, nil
}

// judge says what an answer means. Its text is not told: a server may repeat the headers in it.
func judge(resp *http.Response) error {
	code := resp.StatusCode
	err := fmt.Errorf("the server answers %d %s", code, http.StatusText(code))
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusRequestEntityTooLarge:
		return errTooLarge
	case code >= 300 && code < 400:
		return &refusal{fmt.Errorf("%w, and redirects are not followed: let url be the place itself", err)}
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return &later{err, retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	return &refusal{err}
}

// retryAfter reads the header, in either form (RFC 9110, section 10.2.3); 0 for none.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

func (w *web) settle() error { return nil }

func (w *web) close() { w.client.CloseIdleConnections() }

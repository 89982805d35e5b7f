package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Anybody may have pushed what is beside an image, and what a registry answers may have no end: no more than this is read.
const (
	maxBlob   = 16 << 20     // bytes of a signature or attestation
	maxBeside = 1000         // signatures under a tag, manifests that refer to an image
	maxAll    = 16 * maxBlob // bytes of all answers about an image
)

var (
	errLate = errors.New("there was no whole answer")
	errMuch = fmt.Errorf("its answers about an image have more than %d bytes", maxAll)
)

// bounded gives each answer its time, to the end of its body, and all of them together their bytes.
type bounded struct {
	http.RoundTripper
	patience time.Duration // 0: any time
	bytes    atomic.Int64
}

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := r.Context(), func() {}
	if b.patience > 0 {
		ctx, cancel = context.WithTimeoutCause(r.Context(), b.patience, fmt.Errorf("%w within %s", errLate, b.patience))
	}
	answer, err := b.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		defer cancel()
		return nil, because(ctx, err)
	}
	answer.Body = &boundedBody{answer.Body, b, ctx, cancel}
	return answer, nil
}

// because is why a context has ended, if that is what an error is of: HTTP/2 does not tell.
func because(ctx context.Context, err error) error {
	if err != nil && !errors.Is(err, io.EOF) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

type boundedBody struct {
	io.ReadCloser
	of     *bounded
	ctx    context.Context
	cancel context.CancelFunc
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.of.bytes.Add(int64(n)) > maxAll {
		return 0, errMuch
	}
	return n, because(b.ctx, err)
}

func (b *boundedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// ends says whether an error is of the registry, so that nothing else can be asked, and not of one thing in it.
func ends(err error) bool {
	var unanswered *url.Error
	var refused *transport.Error
	if errors.As(err, &refused) && (refused.StatusCode == http.StatusTooManyRequests || refused.StatusCode >= http.StatusInternalServerError) {
		return true
	}
	return errors.As(err, &unanswered) || errors.Is(err, errLate) || errors.Is(err, errMuch) || errors.Is(err, context.Canceled)
}

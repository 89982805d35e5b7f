package awskms

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// TestRoom: bodies of strangers take room by what has come of them. Large ones that fill it leave room for usual ones,
// and what is released is there again.
func TestRoom(t *testing.T) {
	t.Parallel()
	m := newRoom(4 * usualBody)
	post := func(body io.Reader) *http.Request { return httptest.NewRequest(http.MethodPost, "/", body) }
	of := func(n int) *http.Request { return post(strings.NewReader(strings.Repeat("x", n))) }

	slow, rest := io.Pipe()
	ended := make(chan *api.Error)
	go func() {
		body, release, err := m.readUnknown(post(slow), MaxBody)
		defer release()
		if err == nil && len(body) != 4*usualBody+1 {
			t.Errorf("%d bytes", len(body))
		}
		ended <- err
	}()
	if _, err := rest.Write(make([]byte, 4*usualBody+1)); err != nil { // read, so it has its room: the first part and four more
		t.Fatal(err)
	}
	if _, _, err := m.readUnknown(of(usualBody+1), MaxBody); err == nil || err.Code != api.ServiceUnavailable || err.RetryAfter == 0 {
		t.Errorf("a large one beside it: %v", err)
	}
	body, release, err := m.readUnknown(of(usualBody-1), MaxBody)
	if err != nil || len(body) != usualBody-1 {
		t.Errorf("a usual one: %d bytes, %v", len(body), err)
	}
	release()
	if err := rest.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		r    *http.Request
		code api.Code
	}{
		{of(3 * usualBody), ""},
		{of(3*usualBody + 1), api.RequestEntityTooLarge},
		{post(io.MultiReader(strings.NewReader(strings.Repeat("x", 3*usualBody+1)))), api.RequestEntityTooLarge}, // of no announced length
		{post(io.MultiReader(strings.NewReader("x"), slow)), ""},
		{post(io.MultiReader(strings.NewReader(strings.Repeat("x", 2*usualBody)), broken{})), api.Serialization},
	} {
		_, release, err := m.readUnknown(x.r, 3*usualBody)
		release()
		release() // no more than once
		if got := codeOf(err); got != x.code {
			t.Errorf("%q, want %q", got, x.code)
		}
	}
	if !m.usual.TryAcquire(4*usualBody) || !m.large.TryAcquire(4*usualBody) {
		t.Error("room is lost")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func codeOf(err *api.Error) api.Code {
	if err == nil {
		return ""
	}
	return err.Code
}

// TestFullRoom: both protocols of the face say that there is no room.
func TestFullRoom(t *testing.T) {
	t.Parallel()
	h := newHandler(Config{})
	h.room = newRoom(0)
	for _, form := range []string{"application/x-amz-json-1.1", "application/x-www-form-urlencoded"} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
		r.Header.Set("Content-Type", form)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "no room for another body") {
			t.Errorf("%s: %d %s", form, w.Code, w.Body)
		}
	}
}

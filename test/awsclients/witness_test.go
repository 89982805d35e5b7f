package awsclients

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// witness sees what the Go SDK writes to the gateway: of each member of each
// request, such as Encrypt.KeyId, with which codes it was answered.
type witness struct {
	mu   sync.Mutex
	seen map[string]map[string]bool
}

// taken is the code of a member in a call that succeeded, or would have.
const taken = ""

// watch has a client of the SDK seen.
func (w *witness) watch(o *kms.Options) {
	o.HTTPClient = eyes{witness: w, next: awshttp.NewBuildableClient()}
}

// eyes is the HTTP client of an SDK, with a witness.
type eyes struct {
	*witness
	next kms.HTTPClient
}

// Do notes the request under the code of its answer, and hands both on.
func (e eyes) Do(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, errors.Join(err, r.Body.Close())
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	answer, err := e.next.Do(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(got))
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return answer, e.note(op, sent, answer.StatusCode, got)
}

func (w *witness) note(op string, sent []byte, status int, got []byte) error {
	var failed struct {
		Type string `json:"__type"`
	}
	if status != http.StatusOK {
		if err := json.Unmarshal(got, &failed); err != nil {
			return err
		}
	}
	if failed.Type == "DryRunOperationException" {
		failed.Type = taken
	}
	var in any
	if err := json.Unmarshal(sent, &in); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members(op, in, failed.Type)
	return nil
}

func (w *witness) members(path string, value any, code string) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			at := path + "." + name
			if w.seen[at] == nil {
				w.seen[at] = make(map[string]bool)
			}
			w.seen[at][code] = true
			w.members(at, inner, code)
		}
	case []any:
		for _, inner := range v {
			w.members(path, inner, code)
		}
	}
}

// sdkMembers are the members of all requests that the SDK knows, such as Sign.KeyId
// and CreateKey.Tags.TagKey.
func sdkMembers(t *testing.T) (paths []string) {
	t.Helper()
	client := reflect.TypeFor[*kms.Client]()
	operations := 0
	for i := range client.NumMethod() {
		m := client.Method(i)
		if m.Type.NumIn() != 4 { // the client, a context, the input, options
			continue
		}
		operations++
		paths = append(paths, fields(m.Name, m.Type.In(2))...)
	}
	if operations != 56 || len(paths) < 200 {
		t.Fatalf("%d operations with %d members in the SDK", operations, len(paths))
	}
	return paths
}

// fields are the members of a structure and of those that it holds.
func fields(path string, t reflect.Type) (paths []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || !strings.Contains(t.PkgPath(), "/service/kms") {
		return nil
	}
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() && !f.Anonymous {
			at := path + "." + f.Name
			paths = append(append(paths, at), fields(at, f.Type)...)
		}
	}
	return paths
}

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// Keys are described a few at a time, in their order; one that is gone meanwhile
// is left out, and any other refusal ends the list.
func TestDescribeAll(t *testing.T) {
	var now, most atomic.Int64
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		id := strings.TrimPrefix(r.URL.Path, "/v1/keys/")
		switch id {
		case "gone":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"code":"NotFoundException"}`)
		case "bad":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			fmt.Fprintf(w, `{"KeyMetadata":{"KeyId":%q}}`, id)
		}
	}))
	defer gateway.Close()
	keys := make([]api.KeyListEntry, 100)
	for i := range keys {
		keys[i].KeyId = fmt.Sprint("k", i)
	}
	keys[50].KeyId = "gone"
	c := client.New(gateway.URL, "t")
	rows, err := describeAll(t.Context(), c, keys)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		if (row == nil) != (i == 50) || row != nil && row.KeyId != keys[i].KeyId {
			t.Errorf("row %d is %v", i, row)
		}
	}
	if most.Load() > describing {
		t.Errorf("%d calls at a time, want at most %d", most.Load(), describing)
	}
	keys[10].KeyId = "bad"
	if _, err := describeAll(t.Context(), c, keys); client.Code(err) != api.Internal {
		t.Errorf("a refusal: %v", err)
	}
}

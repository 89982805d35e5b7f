package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/client"
)

// An alias that the gateway refuses once the key is made, as when another call
// was quicker, leaves no key behind that nobody meant to have.
func TestAliasRefused(t *testing.T) {
	const id = "1234abcd-12ab-34cd-56ef-1234567890ab"
	for name, test := range map[string]struct {
		status    int
		code      string
		want      []string
		scheduled bool
	}{
		"refused":  {http.StatusConflict, "AlreadyExistsException", []string{"alias/a was not made", "AlreadyExistsException", id + " is to be destroyed 2026-"}, true},
		"unknown":  {http.StatusInternalServerError, "KMSInternalException", []string{"key " + id + " was made, but perhaps not alias/a"}, false},
		"garbled":  {http.StatusOK, "", []string{"key " + id + " was made, but perhaps not alias/a"}, false},
		"no right": {http.StatusForbidden, "AccessDeniedException", []string{"alias/a was not made"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			scheduled := false
			answer := func(w http.ResponseWriter, status int, v map[string]any) {
				w.Header().Set("Content-Type", "application/json")
				if status != http.StatusOK {
					w.Header().Set("Content-Type", "application/problem+json")
				}
				w.WriteHeader(status)
				if err := json.NewEncoder(w).Encode(v); err != nil {
					t.Error(err)
				}
			}
			gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.Method + " " + r.URL.EscapedPath() {
				case "GET /v1/keys/alias%2Fa":
					answer(w, http.StatusNotFound, map[string]any{"code": "NotFoundException", "detail": "not found"})
				case "POST /v1/keys":
					answer(w, http.StatusOK, map[string]any{"KeyMetadata": map[string]any{"KeyId": id}})
				case "POST /v1/aliases":
					if test.code == "" {
						_, _ = w.Write([]byte("<html>"))
						return
					}
					answer(w, test.status, map[string]any{"code": test.code, "detail": "no"})
				case "POST /v1/keys/" + id + "/schedule-deletion":
					mu.Lock()
					scheduled = true
					mu.Unlock()
					answer(w, http.StatusOK, map[string]any{"KeyId": id, "DeletionDate": 1790000000})
				default:
					t.Errorf("%s %s", r.Method, r.URL)
				}
			}))
			defer gateway.Close()
			t.Setenv("HSMGATE_URL", gateway.URL)
			t.Setenv("HSMGATE_TOKEN", "t")
			root := newRoot()
			root.SetArgs([]string{"key", "create", "--spec", "RSA_2048", "--alias", "alias/a"})
			err := root.ExecuteContext(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			var text strings.Builder
			report(&text, "hsmgate key create", err)
			for _, want := range append(test.want, "hsmgate: hint: ", id) {
				if !strings.Contains(text.String(), want) {
					t.Errorf("%q is not in: %s", want, text.String())
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if scheduled != test.scheduled {
				t.Errorf("deletion scheduled: %v, want %v (%s)", scheduled, test.scheduled, client.Code(err))
			}
		})
	}
}

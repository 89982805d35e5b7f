package awsclients

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// params are the members of a request; a blob is a []byte.
type params map[string]any

// access is what a client is configured with.
type access struct {
	url, id, secret, region string
	token                   string // of a session; "" for none
}

func accessOf(g *gatewaytest.Gateway, c gatewaytest.Credentials) access {
	return access{url: g.URL, id: c.AccessKeyID, secret: c.SecretAccessKey, region: gatewaytest.Region}
}

// client is one real client. A call with PageSize follows all pages with the
// client's own means and returns them as one.
type client struct {
	name string
	fast bool // can afford every algorithm of every key spec
	call func(t *testing.T, as access, op string, in params) (result, *failure)
}

// failure is an error answer as the client understood it. class is the type that
// the client gave it, "" where it has none.
type failure struct{ code, message, class string }

// tooOld is the code of a call that the client did not make, since it does not
// know a member.
const tooOld = "client too old"

func (f *failure) Error() string { return f.code + ": " + f.message }

// result holds the members of a response as a client shows them in JSON.
type result map[string]any

func parseResult(t *testing.T, data []byte) result {
	t.Helper()
	if len(strings.TrimSpace(string(data))) == 0 {
		return result{}
	}
	var r result
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	return r
}

func (r result) str(t *testing.T, name string) string {
	t.Helper()
	s, ok := r[name].(string)
	if !ok {
		t.Fatalf("%s is %v (%T) in %v", name, r[name], r[name], r)
	}
	return s
}

func (r result) blob(t *testing.T, name string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(r.str(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

func (r result) object(t *testing.T, name string) result {
	t.Helper()
	m, ok := r[name].(map[string]any)
	if !ok {
		t.Fatalf("%s is %v in %v", name, r[name], r)
	}
	return m
}

func (r result) list(t *testing.T, name string) []any {
	t.Helper()
	l, ok := r[name].([]any)
	if !ok {
		t.Fatalf("%s is %v in %v", name, r[name], r)
	}
	return l
}

// strings returns one string member of each object of a list.
func (r result) strings(t *testing.T, list, member string) []string {
	t.Helper()
	var all []string
	for _, e := range r.list(t, list) {
		all = append(all, result(e.(map[string]any)).str(t, member))
	}
	return all
}

// time reads a timestamp; clients show it as a number or in ISO 8601.
func (r result) time(t *testing.T, name string) time.Time {
	t.Helper()
	switch v := r[name].(type) {
	case float64:
		return time.UnixMilli(int64(v * 1000))
	case string:
		at, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return at
	}
	t.Fatalf("%s is %v in %v", name, r[name], r)
	return time.Time{}
}

// program finds a program, or fails with what to install.
func program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: apt-get install %s", name, debianPackage)
	}
	return path
}

// kebab writes a member name as the AWS CLI's option: KeyId is key-id.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// must calls and fails the test on any error.
func (c client) must(t *testing.T, as access, op string, in params) result {
	t.Helper()
	out, err := c.call(t, as, op, in)
	if err != nil {
		t.Fatalf("%s: %s %v: %v", c.name, op, in, err)
	}
	return out
}

// refused calls and wants an error.
func (c client) refused(t *testing.T, as access, op string, in params) *failure {
	t.Helper()
	out, err := c.call(t, as, op, in)
	if err == nil {
		t.Fatalf("%s: %s %v succeeded: %v", c.name, op, in, out)
	}
	return err
}

// clients lists the clients of this machine; at least one of each kind.
func clients(t *testing.T) []client {
	t.Helper()
	all := []client{goSDK()}
	for i, path := range commandLines(t) {
		all = append(all, commandLine(t, fmt.Sprintf("cli-%d", i+1), path))
	}
	for i, path := range pythons(t) {
		all = append(all, boto3(t, fmt.Sprintf("boto3-%d", i+1), path))
	}
	return all
}

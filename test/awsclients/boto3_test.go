package awsclients

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

//go:embed boto3_client.py
var boto3Client string

// pythons finds the interpreters that have boto3: the first in PATH and
// Debian's, where both have it.
func pythons(t *testing.T) []string {
	t.Helper()
	var found []string
	seen := map[string]bool{}
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err != nil || exec.CommandContext(t.Context(), path, "-c", "import boto3").Run() != nil {
			continue
		}
		version, err := exec.CommandContext(t.Context(), path, "-c", "import boto3, sys; print(sys.executable, boto3.__version__)").Output()
		if err == nil && !seen[string(version)] {
			seen[string(version)] = true
			t.Logf("boto3 of %s", strings.TrimSpace(string(version)))
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		t.Fatal("no python3 here has boto3: apt-get install python3-boto3")
	}
	return found
}

// boto3 starts an interpreter that ends with the test.
func boto3(t *testing.T, name, python string) client {
	t.Helper()
	cmd := exec.Command(python, "-c", boto3Client) // not CommandContext: it ends by the end of its input
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "NO_PROXY=*")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", python, err)
		}
	})
	p := &interpreter{in: in, out: bufio.NewReader(out)}
	return client{name: name, fast: true, call: p.call}
}

type interpreter struct {
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Reader
}

func (p *interpreter) call(t *testing.T, as access, op string, in params) (result, *failure) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	members, blobs := params{}, map[string][]byte{}
	for name, value := range in {
		if b, ok := value.([]byte); ok {
			blobs[name] = b
		} else {
			members[name] = value
		}
	}
	request := map[string]any{
		"op": op, "members": members, "blobs": blobs,
		"access": map[string]string{"url": as.url, "id": as.id, "secret": as.secret, "region": as.region, "token": as.token},
	}
	if err := json.NewEncoder(p.in).Encode(request); err != nil {
		t.Fatal(err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the interpreter ended: %v", err)
	}
	var reply struct {
		Result                    result
		Code, Message, Class, Bug string
	}
	if err := json.Unmarshal(line, &reply); err != nil {
		t.Fatal(err)
	}
	switch {
	case reply.Bug != "":
		t.Fatalf("%s %v: %s", op, in, reply.Bug)
	case reply.Code != "":
		return nil, &failure{code: reply.Code, message: reply.Message, class: reply.Class}
	}
	return reply.Result, nil
}

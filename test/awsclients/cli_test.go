package awsclients

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// commandLines finds the aws that is first in PATH and Debian's, which may be
// older: they are two generations of the AWS CLI where both are there.
func commandLines(t *testing.T) []string {
	t.Helper()
	paths := []string{program(t, "aws", "awscli")}
	const debian = "/usr/bin/aws"
	if _, err := os.Stat(debian); err == nil && paths[0] != debian {
		paths = append(paths, debian)
	}
	return paths
}

var cliError = regexp.MustCompile(`An error occurred \((\w+)\) when calling the \w+ operation(?: \(reached max retries: \d+\))?: (?s:(.*))`)

func commandLine(t *testing.T, name, path string) client {
	version, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --version: %v: %s", path, err, version)
	}
	t.Logf("%s is %s: %s", name, path, bytes.TrimSpace(version))
	return client{name: name, call: func(t *testing.T, as access, op string, in params) (result, *failure) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), path, arguments(t, as, op, in)...)
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+as.id, "AWS_SECRET_ACCESS_KEY="+as.secret, "AWS_SESSION_TOKEN="+as.token,
			"AWS_DEFAULT_REGION="+as.region, "AWS_REGION="+as.region, "AWS_CONFIG_FILE="+os.DevNull,
			"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=*")
		var out, problem bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &problem
		err := cmd.Run()
		if err == nil {
			return parseResult(t, out.Bytes()), nil
		}
		if strings.Contains(problem.String(), "Unknown options: ") {
			return nil, &failure{code: tooOld, message: problem.String()}
		}
		var exit *exec.ExitError
		m := cliError.FindStringSubmatch(problem.String())
		if !errors.As(err, &exit) || m == nil {
			t.Fatalf("%s %s: %v: %s", path, op, err, problem.Bytes())
		}
		return nil, &failure{code: m[1], message: strings.TrimSpace(m[2])}
	}}
}

func arguments(t *testing.T, as access, op string, in params) []string {
	t.Helper()
	args := []string{"--endpoint-url", as.url, "--output", "json", "kms", kebab(op)}
	for name, value := range in {
		option := "--" + kebab(name)
		switch v := value.(type) {
		case []byte:
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, v, 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, option, "fileb://"+file)
		case bool:
			args = append(args, option)
		case []any, map[string]any:
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, option, string(text))
		case []string:
			args = append(append(args, option), v...)
		case map[string]string:
			var pairs []string
			for k, v := range v {
				pairs = append(pairs, k+"="+v)
			}
			args = append(args, option, strings.Join(pairs, ","))
		case int:
			args = append(args, option, strconv.Itoa(v))
		default:
			args = append(args, option, fmt.Sprint(v))
		}
	}
	return args
}

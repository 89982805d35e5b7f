package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestAccessKeyOfTheEnvironment: where there is no token, requests are signed with an access key that AWS SDKs would find.
func TestAccessKeyOfTheEnvironment(t *testing.T) {
	g := gatewaytest.NewWith(t, gatewaytest.Options{Regions: []string{"eu-west-1"}})
	made := g.CreateKey(api.P256, api.SignVerify)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/of/a_key", TargetKeyId: made.KeyId}, nil)
	session, err := g.Identities.NewUserSession(g.Admin.AccessKeyID, time.Hour, g.Now())
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for name, text := range map[string]string{
		"credentials": "[default]\naws_access_key_id = " + g.Admin.AccessKeyID + "\naws_secret_access_key = " + g.Admin.SecretAccessKey +
			"\n[wrong]\naws_access_key_id = " + g.Admin.AccessKeyID + "\naws_secret_access_key = another\n",
		"config": "[default]\nregion = " + gatewaytest.Region + "\n[profile wrong]\nregion = " + gatewaytest.Region + "\n[profile none]\nregion = " + gatewaytest.Region + "\n",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keyOf := func(more ...string) map[string]string {
		env := map[string]string{"AWS_ACCESS_KEY_ID": g.Admin.AccessKeyID, "AWS_SECRET_ACCESS_KEY": g.Admin.SecretAccessKey, "AWS_REGION": gatewaytest.Region}
		for i := 0; i < len(more); i += 2 {
			env[more[i]] = more[i+1]
		}
		return env
	}
	for _, test := range []struct {
		name   string
		env    map[string]string
		want   api.Code // of the first call
		config string   // the variable that the environment is wrong in
	}{
		{"variables", keyOf(), "", ""},
		{"another region", keyOf("HSMGATE_REGION", "eu-west-1"), api.NotFound, ""}, // where the key is not
		{"a session", keyOf("AWS_ACCESS_KEY_ID", session.AccessKeyID, "AWS_SECRET_ACCESS_KEY", session.SecretAccessKey, "AWS_SESSION_TOKEN", session.SessionToken), "", ""},
		{"the default profile", map[string]string{"HOME": home}, "", ""},
		{"a profile", map[string]string{"HOME": home, "AWS_PROFILE": "default"}, "", ""},
		{"a token comes first", keyOf("HSMGATE_TOKEN", g.Admin.Token, "AWS_SECRET_ACCESS_KEY", "another"), "", ""},
		{"a wrong secret", keyOf("AWS_SECRET_ACCESS_KEY", "another"), api.InvalidSignature, ""},
		{"a profile with a wrong secret", map[string]string{"HOME": home, "AWS_PROFILE": "wrong"}, api.InvalidSignature, ""},
		{"no such access key", keyOf("AWS_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAAA"), api.UnrecognizedClient, ""},
		{"a forged session", keyOf("AWS_SESSION_TOKEN", session.SessionToken), api.UnrecognizedClient, ""},
		{"a region that is not served", keyOf("AWS_REGION", "us-west-2"), api.InvalidSignature, ""},
		{"no region", keyOf("AWS_REGION", ""), "", "AWS_REGION"},
		{"no secret", keyOf("AWS_SECRET_ACCESS_KEY", ""), "", "AWS_SECRET_ACCESS_KEY"},
		{"a profile without a key", map[string]string{"HOME": home, "AWS_PROFILE": "none"}, "", "AWS_PROFILE"},
		{"no such profile", map[string]string{"HOME": home, "AWS_PROFILE": "other"}, "", "AWS_PROFILE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{"HSMGATE_TOKEN", "HSMGATE_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
				t.Setenv(name, test.env[name])
			}
			folder := t.TempDir() // without profiles
			if test.env["HOME"] != "" {
				folder = home
			}
			t.Setenv("HOME", folder)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(folder, "credentials")) // the library has read HOME already
			t.Setenv("AWS_CONFIG_FILE", filepath.Join(folder, "config"))
			t.Setenv("HSMGATE_URL", g.URL)
			c, err := client.FromEnv()
			if err == nil {
				_, err = c.ListAliases(t.Context(), &api.ListAliasesRequest{KeyId: made.KeyId, Limit: new(5)})
			}
			if err == nil {
				_, err = c.Sign(t.Context(), &api.SignRequest{KeyTarget: key("alias/of/a_key"), Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
			}
			var wrong *client.ConfigError
			if test.config != "" {
				if !errors.As(err, &wrong) || wrong.Variable != test.config {
					t.Errorf("%v, want what is wrong with %s", err, test.config)
				}
				return
			}
			if client.Code(err) != test.want || err != nil && test.want == "" {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	records := g.Records()
	if r := records[len(records)-1]; r.Principal != g.Admin.ARN {
		t.Errorf("the last call was of %+v", r)
	}
}

// TestProfileErrorsHoldNoSecret: what a credential_process prints is told to nobody, whatever it is.
func TestProfileErrorsHoldNoSecret(t *testing.T) {
	const secret = "wJalrXUtnFEMI"
	folder := t.TempDir()
	printed := filepath.Join(folder, "printed")
	for _, name := range []string{"HSMGATE_TOKEN", "HSMGATE_TOKEN_FILE", "HSMGATE_CERT_FILE", "HSMGATE_KEY_FILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("HSMGATE_URL", "http://localhost:1")
	t.Setenv("AWS_REGION", gatewaytest.Region)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(folder, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(folder, "credentials"))
	for _, test := range []struct{ config, printed string }{
		{"credential_process = cat " + printed, `{"Version": 1, "AccessKeyId": "AKIAX", "SecretAccessKey": "` + secret + `"`}, // cut off
		{"credential_process = cat " + printed, `SecretAccessKey=` + secret},
		{"credential_process = cat " + printed, `{"Version": 1, "SecretAccessKey": "` + secret + `"}`},
		{"credential_process = sh -c 'cat " + printed + "; cat " + printed + " >&2; exit 1'", secret},
		{"aws_secret_access_key = " + secret, ""},
	} {
		if err := os.WriteFile(printed, []byte(test.printed), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "config"), []byte("[default]\n"+test.config+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := client.FromEnv()
		switch {
		case !errors.Is(err, client.ErrConfig):
			t.Errorf("%s, %s: %v", test.config, test.printed, err)
		case strings.Contains(err.Error(), secret):
			t.Errorf("%s, %s: a secret is told: %v", test.config, test.printed, err)
		case !strings.Contains(err.Error(), folder) || !strings.Contains(err.Error(), `"default"`):
			t.Errorf("%s: the profile and its file are not told: %v", test.config, err)
		}
	}
}

// TestNoServiceOfACloudIsAsked: what AWS SDKs would get from an endpoint of a container is nothing for the gateway.
func TestNoServiceOfACloudIsAsked(t *testing.T) {
	asked := make(chan string, 8)
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		_, _ = io.WriteString(w, `{"AccessKeyId":"AKIAX","SecretAccessKey":"secret","Token":"of the cloud","Expiration":"2100-01-01T00:00:00Z"}`)
	}))
	t.Cleanup(cloud.Close)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "config"), []byte("[default]\nregion = "+gatewaytest.Region+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"HSMGATE_URL": "http://localhost:1", "HSMGATE_TOKEN": "", "AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": filepath.Join(folder, "config"),
		"AWS_SHARED_CREDENTIALS_FILE": filepath.Join(folder, "credentials"), "AWS_CONTAINER_CREDENTIALS_FULL_URI": cloud.URL + "/credentials",
	} {
		t.Setenv(name, value)
	}
	if _, err := client.FromEnv(); !errors.Is(err, client.ErrConfig) || strings.Contains(err.Error(), "AKIAX") {
		t.Error(err)
	}
	if len(asked) > 0 {
		t.Error("the endpoint was asked for ", <-asked)
	}
}

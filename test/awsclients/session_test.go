package awsclients

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

const (
	roleARN    = "arn:aws:iam::" + gatewaytest.Account + ":role/deploy"
	sessionARN = "arn:aws:sts::" + gatewaytest.Account + ":assumed-role/deploy/job-7"
)

// workload is a gateway that trusts an issuer, and a file with a token of it.
type workload struct {
	*gatewaytest.Gateway
	file string
	home string // in which aws keeps sessions, by role alone and not by gateway
}

func newWorkload(t *testing.T) *workload {
	t.Helper()
	issuer := identitytest.NewIssuer(t)
	w := &workload{file: filepath.Join(t.TempDir(), "token"), home: t.TempDir()}
	w.Gateway = gatewaytest.NewWith(t, gatewaytest.Options{Providers: []identity.Provider{{
		Name: "ci", Issuer: issuer.URL, Audiences: []string{"hsmgate"}, Rules: []identity.ClaimRule{{Role: "deploy", Claims: map[string]string{"sub": "job-*"}}},
	}}})
	_, err := w.Identities.CreateRole(t.Context(), "deploy", policy.RoleAdministrator, nil, w.Now())
	ok(t, err)
	ok(t, w.Identities.PutPolicy(t.Context(), "assume", `{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "`+roleARN+`"}}`, w.Now()))
	ok(t, w.Identities.AttachPolicy(t.Context(), w.Admin.ARN, "assume"))
	token := issuer.Token(map[string]any{"iss": issuer.URL, "sub": "job-7", "aud": "hsmgate", "iat": w.Now().Unix(), "exp": w.Now().Add(time.Hour).Unix()})
	ok(t, os.WriteFile(w.file, []byte(token), 0o600))
	return w
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// session is the access that a session of the role has, which began at a time.
func (w *workload) session(t *testing.T, from time.Time) access {
	t.Helper()
	s, err := w.Identities.NewRoleSession("deploy", identity.Proof{Session: "job-7"}, "", time.Hour, from)
	ok(t, err)
	return access{url: w.URL, id: s.AccessKeyID, secret: s.SecretAccessKey, region: gatewaytest.Region, token: s.SessionToken}
}

// TestSessionTokens: every client signs with a session token.
func TestSessionTokens(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	for _, c := range clients(t) {
		as := w.session(t, w.Now())
		key := c.must(t, as, "CreateKey", params{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}).object(t, "KeyMetadata").str(t, "KeyId")
		c.must(t, as, "Sign", params{"KeyId": key, "SigningAlgorithm": "ECDSA_SHA_256", "Message": []byte("x")})
		if last := w.Records()[len(w.Records())-1]; last.Operation != "Sign" || last.Principal != sessionARN || last.CredentialID != as.id {
			t.Errorf("%s: %+v", c.name, last)
		}
		old := w.session(t, w.Now().Add(-time.Hour))
		wantError(t, c.refused(t, old, "ListKeys", params{}), "ExpiredTokenException", "The security token included in the request is expired")
		if !c.fast {
			continue
		}
		forged := as
		forged.token = old.token
		wantError(t, c.refused(t, forged, "ListKeys", params{}), "UnrecognizedClientException", "The security token included in the request is invalid.")
		forged = as
		forged.secret = old.secret
		wantError(t, c.refused(t, forged, "ListKeys", params{}), "InvalidSignatureException", "")
	}
}

// environment is that of a workload which is told where its token is, and nothing else.
func (w *workload) environment() []string {
	return []string{"AWS_ROLE_ARN=" + roleARN, "AWS_WEB_IDENTITY_TOKEN_FILE=" + w.file, "AWS_ENDPOINT_URL_STS=" + w.URL, "AWS_ENDPOINT_URL_KMS=" + w.URL,
		"AWS_REGION=" + gatewaytest.Region, "AWS_DEFAULT_REGION=" + gatewaytest.Region, "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=", "NO_PROXY=*",
		"HOME=" + w.home, "PYENV_ROOT=" + filepath.Join(os.Getenv("HOME"), ".pyenv")} // where a program may be that pyenv starts
}

// run runs a program in an environment beside which nothing of AWS is set.
func run(t *testing.T, environment []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, environment...)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, problem.Bytes())
	}
	return string(out)
}

// newer says whether a program prints a version from which on AWS_ENDPOINT_URL_STS
// is read (July 2023).
func newer(t *testing.T, minor map[string]int, name string, args ...string) bool {
	t.Helper()
	text := run(t, nil, name, args...)
	m := regexp.MustCompile(`(\d+)\.(\d+)\.`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s: %s", name, text)
	}
	n, err := strconv.Atoi(m[2])
	ok(t, err)
	if n < minor[m[1]] {
		t.Logf("%s is too old to find AWS STS elsewhere by itself: %s", name, strings.TrimSpace(text))
		return false
	}
	return true
}

// exchangedAs looks for the records of an exchange and of a call after it.
func (w *workload) exchangedAs(t *testing.T, client string, do func()) {
	t.Helper()
	before := len(w.Records())
	do()
	records := w.Records()[before:]
	if len(records) != 2 || records[0].Operation != "AssumeRoleWithWebIdentity" || records[1].Operation != "ListKeys" ||
		records[0].Principal != sessionARN || records[1].Principal != sessionARN || records[0].Subject != "job-7" || records[1].Outcome != "allowed" ||
		records[0].AccessKeyID == "" || records[1].CredentialID != records[0].AccessKeyID {
		t.Errorf("%s: %+v", client, records)
	}
}

// TestWebIdentity: clients exchange the token by themselves, from the variables
// that AWS sets in its own clusters.
func TestWebIdentity(t *testing.T) {
	w := newWorkload(t)
	used := 0
	for _, path := range commandLines(t) {
		if newer(t, map[string]int{"1": 29, "2": 13}, path, "--version") {
			used++
			w.exchangedAs(t, path, func() { run(t, w.environment(), path, "kms", "list-keys") })
		}
	}
	for _, path := range pythons(t) {
		if newer(t, map[string]int{"1": 28}, path, "-c", "import boto3; print(boto3.__version__)") {
			used++
			w.exchangedAs(t, path, func() { run(t, w.environment(), path, "-c", "import boto3; boto3.client('kms').list_keys()") })
		}
	}
	if used < 2 {
		t.Errorf("%d of the clients here are new enough: install a current aws and boto3", used)
	}
	for _, v := range w.environment() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	w.exchangedAs(t, "go-sdk", func() {
		c, err := config.LoadDefaultConfig(t.Context())
		ok(t, err)
		_, err = kms.NewFromConfig(c).ListKeys(t.Context(), nil)
		ok(t, err)
	})
}

// TestSTS: the operations of AWS STS with clients of both generations, which are
// told where it is.
func TestSTS(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	token, err := os.ReadFile(w.file)
	ok(t, err)
	admin := []string{"AWS_ACCESS_KEY_ID=" + w.Admin.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + w.Admin.SecretAccessKey, "AWS_DEFAULT_REGION=" + gatewaytest.Region,
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=*"}
	whoIs := func(client string, c result) {
		t.Helper()
		as := access{url: w.URL, region: gatewaytest.Region, id: c.str(t, "AccessKeyId"), secret: c.str(t, "SecretAccessKey"), token: c.str(t, "SessionToken")}
		out, err := stsClient(as).GetCallerIdentity(t.Context(), nil)
		ok(t, err)
		if *out.Arn != sessionARN {
			t.Errorf("%s is %s", client, *out.Arn)
		}
	}
	for _, path := range commandLines(t) {
		aws := func(args ...string) result {
			t.Helper()
			return parseResult(t, []byte(run(t, admin, path, append([]string{"--endpoint-url", w.URL, "--output", "json", "sts"}, args...)...)))
		}
		if arn := aws("get-caller-identity").str(t, "Arn"); arn != w.Admin.ARN {
			t.Errorf("%s is %s", path, arn)
		}
		aws("get-session-token").object(t, "Credentials")
		whoIs(path, aws("assume-role", "--role-arn", roleARN, "--role-session-name", "job-7").object(t, "Credentials"))
		whoIs(path, aws("assume-role-with-web-identity", "--role-arn", roleARN, "--role-session-name", "x1", "--web-identity-token", string(token)).object(t, "Credentials"))
	}
	for _, path := range pythons(t) {
		text := fmt.Sprintf(`
import boto3, json
sts = boto3.client("sts", endpoint_url=%q, region_name=%q)
assert sts.get_caller_identity()["Arn"] == %q
sts.get_session_token(DurationSeconds=900)
sts.assume_role(RoleArn=%q, RoleSessionName="job-7")
try:
    sts.assume_role_with_web_identity(RoleArn=%[4]q, RoleSessionName="x1", WebIdentityToken="x.y.z")
    raise AssertionError("taken")
except sts.exceptions.InvalidIdentityTokenException as e:
    assert e.response["Error"]["Code"] == "InvalidIdentityToken", e
answer = sts.assume_role_with_web_identity(RoleArn=%[4]q, RoleSessionName="x1", WebIdentityToken=open(%q).read())
print(json.dumps(answer["Credentials"], default=str))
`, w.URL, gatewaytest.Region, w.Admin.ARN, roleARN, w.file)
		whoIs(path, parseResult(t, []byte(run(t, admin, path, "-c", text))))
	}
	as := accessOf(w.Gateway, w.Admin)
	out, err := stsClient(as).GetSessionToken(t.Context(), nil)
	ok(t, err)
	as.id, as.secret, as.token = *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken
	goSDK().must(t, as, "ListKeys", params{})
	_, err = stsClient(as).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(roleARN), RoleSessionName: aws.String("job-7")})
	if f := goFailure(t, err); f.code != "AccessDenied" {
		t.Errorf("a session of a session: %v", f)
	}
}

func stsClient(as access) *sts.Client {
	return sts.New(sts.Options{BaseEndpoint: aws.String(as.url), Region: as.region, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: as.id, SecretAccessKey: as.secret, SessionToken: as.token}, nil
		})})
}

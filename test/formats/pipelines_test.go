package formats

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// pipelines are the recipes whose platform is not here: what they run is run with the variables that it sets.
var pipelines = []string{"github-actions.md", "gitlab-ci.md", "jenkins.md"}

const (
	jobURL = "https://jenkins.example.com/job/release/"
	commit = "0f1e2d3c4b5a69788796a5b4c3d2e1f001122334"
)

// platform is a gateway that trusts three issuers, and where the program can be fetched.
type platform struct {
	*recipe
	issuer  map[string]*identitytest.Issuer
	url     string // of the program
	sum     string // its SHA-256
	gitHub  string // where GitHub gives a job its token
	project string // that the tokens are of
}

func newPlatform(t *testing.T) *platform {
	p := &platform{issuer: map[string]*identitytest.Issuer{}, project: "example/app"}
	for _, name := range []string{"github", "gitlab", "jenkins"} {
		p.issuer[name] = identitytest.NewIssuer(t)
	}
	rule := func(claim, value string) []identity.ClaimRule {
		return []identity.ClaimRule{{Role: "release", Claims: map[string]string{claim: value}}}
	}
	hsmgate := []string{"hsmgate"}
	g := gatewaytest.NewWith(t, gatewaytest.Options{Providers: []identity.Provider{
		{Name: "github", Preset: "github", Issuer: p.issuer["github"].URL, Audiences: hsmgate, Rules: rule("repository", "example/app")},
		{Name: "gitlab", Preset: "gitlab", Issuer: p.issuer["gitlab"].URL, Audiences: hsmgate, Rules: rule("project_path", "example/app")},
		{Name: "jenkins", Issuer: p.issuer["jenkins"].URL, Audiences: hsmgate, Rules: rule("sub", jobURL)},
	}})
	key := g.CreateKey(api.RSA2048, api.SignVerify)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/release", TargetKeyId: key.KeyId}, nil)
	if _, err := g.Identities.CreateRole(t.Context(), "release", policy.RoleUser, []string{key.KeyId}, g.Now()); err != nil {
		t.Fatal(err)
	}
	files := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(program))))
	t.Cleanup(files.Close)
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(binary)
	p.url, p.sum = files.URL+"/hsmgate", hex.EncodeToString(sum[:])
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer job-secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"value": p.issuer["github"].Token(
			identitytest.GitHub(p.issuer["github"].URL, r.URL.Query().Get("audience"), p.project, "refs/tags/v1.2.0", g.Now()))})
	}))
	t.Cleanup(tokens.Close)
	p.gitHub = tokens.URL + "/token?api-version=2.0"
	p.recipe = newRecipe(t, g)
	p.trust()
	p.path = p.path[1:] // whose first has hsmgate
	return p
}

// trust makes the keyring of who verifies.
func (p *platform) trust() {
	p.bash("hsmgate key public-key alias/release --format openpgp --user-id 'Release <release@example.org>' | gpg --batch --dearmor -o release.gpg", nil)
}

// signed checks the signature of a file, by whom it was made, and that another file's would be refused.
func (p *platform) signed(file, principal string) {
	p.Helper()
	p.bash("gpgv --keyring ./release.gpg "+file+".asc "+file+" && echo more >>"+file+" && ! gpgv --keyring ./release.gpg "+file+".asc "+file, nil)
	records := p.g.Records()
	if last := records[len(records)-1]; last.Operation != "Sign" || !strings.HasSuffix(last.Principal, principal) {
		p.Errorf("signed by %s, not %s", last.Principal, principal)
	}
}

// step of a GitHub workflow or action.
type step struct {
	Uses, Run, Shell string
	With, Env        map[string]string
}

var input = regexp.MustCompile(`\$\{\{ inputs\.([a-z0-9-]+) \}\}`)

func (p *platform) yaml(text []byte, into any) {
	p.Helper()
	p.ok(yaml.Unmarshal(text, into))
}

// gitHubJob plays the workflow of the page, with these inputs in place of those that it gives to the action.
func (p *platform) gitHubJob(with map[string]string) (string, error) {
	p.lay("github-actions.md")
	text, err := os.ReadFile(filepath.Join(p.dir, "release.yml"))
	p.ok(err)
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct{ Steps []step }
	}
	p.yaml(text, &workflow)
	if workflow.Permissions["id-token"] != "write" {
		p.Error("the job gets no token")
	}
	var said strings.Builder
	for _, s := range workflow.Jobs["release"].Steps {
		steps := []step{s}
		if strings.HasPrefix(s.Uses, "./") {
			maps.Copy(s.With, with)
			steps = p.action(s.With)
		}
		for _, s := range steps {
			if s.Run == "" {
				continue
			}
			out, err := p.gitHubStep(s)
			said.WriteString(out)
			if err != nil {
				return said.String(), err
			}
		}
	}
	return said.String(), nil
}

// action gives the steps of the action with its inputs in their environment, which is the only place for them: in a
// script they could be anything.
func (p *platform) action(with map[string]string) []step {
	text, err := os.ReadFile(filepath.Join(recipes, "github", "action.yml"))
	p.ok(err)
	var action struct {
		Inputs map[string]struct {
			Default  string
			Required bool
		}
		Runs struct {
			Using string
			Steps []step
		}
	}
	p.yaml(text, &action)
	for name := range with {
		if _, ok := action.Inputs[name]; !ok {
			p.Errorf("the action has no input %s", name)
		}
	}
	for _, s := range action.Runs.Steps {
		if s.Shell != "bash" || strings.Contains(s.Run, "${{") {
			p.Errorf("a step with the shell %q: %s", s.Shell, s.Run)
		}
		for name, value := range s.Env {
			s.Env[name] = input.ReplaceAllStringFunc(value, func(text string) string {
				in := input.FindStringSubmatch(text)[1]
				if given, ok := with[in]; ok {
					return given
				}
				if action.Inputs[in].Required {
					p.Errorf("the input %s is missing", in)
				}
				return action.Inputs[in].Default
			})
		}
	}
	return action.Runs.Steps
}

func (p *platform) gitHubStep(s step) (string, error) {
	added := filepath.Join(p.dir, "path")
	env := []string{"CI=true", "GITHUB_ACTIONS=true", "GITHUB_PATH=" + added, "RUNNER_TEMP=" + p.dir, "GITHUB_REPOSITORY=" + p.project, "GITHUB_SHA=" + commit,
		"GITHUB_RUN_ID=10516830201", "ACTIONS_ID_TOKEN_REQUEST_URL=" + p.gitHub, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=job-secret"}
	for name, value := range s.Env {
		env = append(env, name+"="+value)
	}
	out, err := p.try([]string{"bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", s.Run}, env)
	if text, _ := os.ReadFile(added); len(text) > 0 {
		p.path = append(strings.Fields(string(text)), p.path...)
	}
	return out, err
}

// TestFormatsPipelineGitHub plays the workflow with the action, and has it refused.
func TestFormatsPipelineGitHub(t *testing.T) {
	p := newPlatform(t)
	good := map[string]string{"url": p.g.URL, "program-url": p.url, "program-sha256": p.sum}
	other := maps.Clone(good)
	other["program-sha256"] = strings.Repeat("0", 64)
	if out, err := p.gitHubJob(other); err == nil || !strings.Contains(out, "did NOT match") {
		t.Errorf("another program is run: %v\n%s", err, out)
	}
	p.project = "other/app"
	if out, err := p.gitHubJob(good); err == nil || !strings.Contains(out, "AccessDenied") {
		t.Errorf("another repository signs: %v\n%s", err, out)
	}
	p.bash("test ! -e dist/app.tar.gz.asc", nil)
	p.project = "example/app"
	out, err := p.gitHubJob(good)
	if err != nil || strings.Contains(out, "job-secret") {
		t.Fatalf("%v\n%s", err, out)
	}
	p.signed("dist/app.tar.gz", "assumed-role/release/example-app@10516830201")
	records := p.g.Records()
	if last := records[len(records)-1]; last.ArtifactRepo != p.project || last.ArtifactCommit != commit || last.ArtifactRun != "10516830201" {
		t.Errorf("the record does not say what was signed: %+v", last)
	}
}

// TestFormatsPipelineGitLab runs the job of the template.
func TestFormatsPipelineGitLab(t *testing.T) {
	p := newPlatform(t)
	p.lay("gitlab-ci.md")
	text, err := os.ReadFile(filepath.Join(p.dir, ".gitlab-ci.yml"))
	p.ok(err)
	var file map[string]struct {
		Extends      string
		IDTokens     map[string]struct{ Aud string } `yaml:"id_tokens"`
		Variables    map[string]string
		BeforeScript []string `yaml:"before_script"`
		Script       []string
	}
	p.yaml(text, &file)
	job, base := file["sign"], file[file["sign"].Extends]
	maps.Copy(base.Variables, map[string]string{"HSMGATE_URL": p.g.URL, "PROGRAM_URL": p.url, "PROGRAM_SHA256": p.sum, "CI_COMMIT_TAG": "v1.2.0", "CI_COMMIT_SHA": commit})
	var env []string
	for name, value := range base.Variables {
		env = append(env, name+"="+value)
	}
	issuer := p.issuer["gitlab"]
	for name, token := range base.IDTokens {
		env = append(env, name+"="+issuer.Token(identitytest.GitLab(issuer.URL, token.Aud, p.project, "main", p.g.Now())))
	}
	p.bash(strings.Join(append(base.BeforeScript, job.Script...), "\n"), env)
	p.signed("dist/app.tar.gz", "assumed-role/release/example-app@302")
}

var jenkinsShell = regexp.MustCompile(`(?s)variable: '(\w+)'\).*\bsh '([^']+)'`)

// TestFormatsPipelineJenkins runs the step of the Jenkinsfile, as Jenkins does: each command is shown, the token never.
func TestFormatsPipelineJenkins(t *testing.T) {
	p := newPlatform(t)
	p.lay("jenkins.md")
	text, err := os.ReadFile(filepath.Join(p.dir, "Jenkinsfile"))
	p.ok(err)
	found := jenkinsShell.FindSubmatch(text)
	if found == nil {
		t.Fatalf("no step: %s", text)
	}
	issuer, now := p.issuer["jenkins"], p.g.Now()
	token := issuer.Token(map[string]any{"iss": issuer.URL, "sub": jobURL, "aud": "hsmgate", "iat": now.Unix(), "exp": now.Unix() + 3600})
	p.path = append(p.path, filepath.Dir(program)) // of the agent
	out, err := p.try([]string{"/bin/sh", "-xe", "-c", string(found[2])}, []string{"HSMGATE_URL=" + p.g.URL, string(found[1]) + "=" + token, "BUILD_TAG=jenkins-release-7"})
	if err != nil || strings.Contains(out, token) {
		t.Fatalf("%v\n%s", err, out)
	}
	p.signed("dist/app.tar.gz", "assumed-role/release/https---jenkins.example.com-job-release-")
}

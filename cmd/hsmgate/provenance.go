package main

import (
	"cmp"
	"encoding/json"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

const (
	provenanceType = "https://slsa.dev/provenance/v1"
	// buildType says how externalParameters are to be read: docs/images.md does.
	buildType = "https://github.com/hsmgate/hsmgate/blob/main/docs/images.md#provenance"
)

// provenance is what is known of a build.
type provenance struct {
	builder string // a URI
	source  string // of the repository, a URL
	commit  string
	run     string // a URL
}

func (p *provenance) add(c *cobra.Command) {
	c.Flags().StringVar(&p.builder, "builder-id", "", "URI of what built it")
	c.Flags().StringVar(&p.source, "source", "", "URL of the repository of the source")
	c.Flags().StringVar(&p.commit, "commit", "", "commit that it is made of, in hexadecimal")
	c.Flags().StringVar(&p.run, "run", "", "URL of the run of the workflow that made it")
}

// fromEnvironment is what the CI system says of this run.
func fromEnvironment(get func(string) string) provenance {
	switch {
	case get("GITHUB_ACTIONS") == "true":
		repository := get("GITHUB_SERVER_URL") + "/" + get("GITHUB_REPOSITORY")
		return provenance{builder: get("GITHUB_SERVER_URL") + "/" + get("GITHUB_WORKFLOW_REF"), source: repository, commit: get("GITHUB_SHA"),
			run: repository + "/actions/runs/" + get("GITHUB_RUN_ID") + "/attempts/" + cmp.Or(get("GITHUB_RUN_ATTEMPT"), "1")}
	case get("GITLAB_CI") == "true":
		return provenance{builder: get("CI_SERVER_URL") + "/-/runners/" + get("CI_RUNNER_ID"), source: get("CI_PROJECT_URL"), commit: get("CI_COMMIT_SHA"), run: get("CI_JOB_URL")}
	case get("JENKINS_URL") != "":
		return provenance{builder: get("JENKINS_URL"), source: get("GIT_URL"), commit: get("GIT_COMMIT"), run: get("BUILD_URL")}
	}
	return provenance{}
}

var commitForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// predicate makes the predicate (SLSA 1.0, Provenance), with what the environment knows where a flag is not given.
func (p *provenance) predicate() ([]byte, error) {
	env := fromEnvironment(os.Getenv)
	builder, source, commit, run := cmp.Or(p.builder, env.builder), cmp.Or(p.source, env.source), strings.ToLower(cmp.Or(p.commit, env.commit)), cmp.Or(p.run, env.run)
	var missing []string
	for _, need := range []struct{ value, flag string }{{builder, "--builder-id"}, {source, "--source"}, {commit, "--commit"}} {
		if need.value == "" {
			missing = append(missing, need.flag)
		}
	}
	if missing != nil {
		return nil, &hintedError{usagef("missing: %s; the environment is none of GitHub Actions, GitLab CI and Jenkins that says it", strings.Join(missing, ", ")),
			"a predicate that was made elsewhere is given with --predicate"}
	}
	if !commitForm.MatchString(commit) {
		return nil, usagef("--commit is the whole name of a commit, of 40 or 64 hexadecimal digits, not %q", commit)
	}
	type object = map[string]any
	metadata := object{}
	if run != "" {
		metadata["invocationId"] = run
	}
	return json.Marshal(object{
		"buildDefinition": object{
			"buildType":            buildType,
			"externalParameters":   object{"source": source},
			"resolvedDependencies": []object{{"uri": "git+" + source, "digest": object{"gitCommit": commit}}},
		},
		"runDetails": object{"builder": object{"id": builder}, "metadata": metadata},
	})
}

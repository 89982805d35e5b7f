package identitytest

import "time"

// lifetime of the tokens below.
const lifetime = 10 * time.Minute

// GitHub are the claims of a token of GitHub Actions, for a job of this
// repository and ref (GitHub docs, "OpenID Connect reference").
func GitHub(issuer, audience, repository, ref string, now time.Time) map[string]any {
	return map[string]any{
		"jti": "b4cca0b8-d1d2-4f3c-9b6b-0d8a1f3a2c11", "sub": "repo:" + repository + ":ref:" + ref, "aud": audience, "ref": ref,
		"sha": "0f1e2d3c4b5a69788796a5b4c3d2e1f001122334", "repository": repository, "repository_owner": "example",
		"repository_owner_id": "65", "run_id": "10516830201", "run_number": "10", "run_attempt": "2", "repository_visibility": "private",
		"repository_id": "74", "actor_id": "12", "actor": "octocat", "workflow": "release", "head_ref": "", "base_ref": "", "event_name": "push",
		"ref_protected": "true", "ref_type": "tag", "workflow_ref": repository + "/.github/workflows/release.yml@" + ref,
		"workflow_sha": "0f1e2d3c4b5a69788796a5b4c3d2e1f001122334", "job_workflow_ref": repository + "/.github/workflows/release.yml@" + ref,
		"job_workflow_sha": "0f1e2d3c4b5a69788796a5b4c3d2e1f001122334", "runner_environment": "github-hosted",
		"iss": issuer, "nbf": now.Add(-5 * time.Minute).Unix(), "iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
	}
}

// GitLab are the claims of an ID token of GitLab CI/CD, for a job of this project
// and branch (GitLab docs, "OpenID Connect (OIDC) authentication using ID tokens").
func GitLab(issuer, audience, project, branch string, now time.Time) map[string]any {
	return map[string]any{
		"namespace_id": "72", "namespace_path": "example", "project_id": "20", "project_path": project, "user_id": "1", "user_login": "sample-user",
		"user_email": "sample-user@example.com", "user_access_level": "developer", "job_project_id": "20", "job_project_path": project,
		"user_identities": []map[string]any{{"provider": "github", "extern_uid": "2435223452345"}, {"provider": "bitbucket", "extern_uid": "john.smith"}},
		"pipeline_id":     "574", "pipeline_source": "push", "job_id": "302", "ref": branch, "ref_type": "branch", "ref_path": "refs/heads/" + branch,
		"ref_protected": "true", "groups_direct": []string{"example", "example/tools"}, "environment": "production", "environment_protected": "false",
		"deployment_tier": "production", "runner_id": 1, "runner_environment": "self-hosted", "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
		"project_visibility": "private", "ci_config_ref_uri": "gitlab.example.com/" + project + "//.gitlab-ci.yml@refs/heads/" + branch,
		"ci_config_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc", "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Second).Unix(), "exp": now.Add(lifetime).Unix(), "iss": issuer,
		"sub": "project_path:" + project + ":ref_type:branch:ref:" + branch, "aud": audience,
	}
}

// Kubernetes are the claims of a projected service account token (Kubernetes
// docs, "Managing Service Accounts").
func Kubernetes(issuer, audience, namespace, account string, now time.Time) map[string]any {
	return map[string]any{
		"aud": []string{audience}, "exp": now.Add(lifetime).Unix(), "iat": now.Unix(), "nbf": now.Unix(), "iss": issuer,
		"jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a", "sub": "system:serviceaccount:" + namespace + ":" + account,
		"kubernetes.io": map[string]any{
			"namespace":      namespace,
			"node":           map[string]any{"name": "node-1", "uid": "58456cb0-dd00-45ed-b797-5578fdceaced"},
			"pod":            map[string]any{"name": account + "-69cbfb9798-jv9gn", "uid": "778a530c-b3f4-47c0-9cd5-ab018fb64f33"},
			"serviceaccount": map[string]any{"name": account, "uid": "a087d5a0-e1dd-43ec-93ac-f13d89cd13af"},
			"warnafter":      now.Add(lifetime / 2).Unix(),
		},
	}
}

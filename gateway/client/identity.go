package client

import (
	"context"
	"os"
)

// kubernetesToken is where a pod finds its projected token, by the volume of docs/client.md.
const kubernetesToken = "/var/run/secrets/hsmgate/token" //nolint:gosec // G101: a path

// identityFromEnv finds the identity token of a workload; nil where there is none. The
// order is that of docs/client.md.
func identityFromEnv() func(context.Context) (string, error) {
	if token := os.Getenv("HSMGATE_ID_TOKEN"); token != "" { // GitLab sets it for the length of a job
		return func(context.Context) (string, error) { return token, nil }
	}
	if path := os.Getenv("HSMGATE_ID_TOKEN_FILE"); path != "" {
		return fileToken(path)
	}
	if address, token := os.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), os.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"); address != "" && token != "" {
		return gitHub(address, token, audience())
	}
	if path := os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"); path != "" {
		return fileToken(path)
	}
	if _, err := os.Stat(kubernetesToken); err == nil {
		return fileToken(kubernetesToken)
	}
	return nil
}

// fileToken reads the file for each token: who wrote it writes a new one in time.
func fileToken(path string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return tokenIn(path) }
}

// audience is whom an identity token is asked for.
func audience() string {
	if a := os.Getenv("HSMGATE_AUDIENCE"); a != "" {
		return a
	}
	return "hsmgate"
}

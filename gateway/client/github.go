package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// gitHub asks the service of GitHub Actions for an identity token: the job needs the
// permission id-token: write, which sets ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN.
func gitHub(requestURL, requestToken, audience string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		u, err := url.Parse(requestURL)
		if err != nil {
			return "", &ConfigError{"ACTIONS_ID_TOKEN_REQUEST_URL", false, "is not a URL"}
		}
		query := u.Query()
		query.Set("audience", audience)
		u.RawQuery = query.Encode()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return "", &ConfigError{"ACTIONS_ID_TOKEN_REQUEST_URL", false, "is not a URL"}
		}
		r.Header.Set("Authorization", "Bearer "+requestToken)
		r.Header.Set("Accept", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", fmt.Errorf("ask GitHub for an identity token: %w", err)
		}
		defer resp.Body.Close()
		var answer struct{ Value string }
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenFile))
		if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &answer) != nil || answer.Value == "" {
			return "", fmt.Errorf("GitHub gave no identity token: it answered %s", resp.Status)
		}
		return answer.Value, nil
	}
}

package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
)

// awsService is the service that requests are signed for, on REST as on the AWS face.
const awsService = "kms"

// awsFromEnv finds an access key where AWS SDKs do: in variables, and in profiles. It has
// no credentials where there is none.
func awsFromEnv(ctx context.Context) (aws.Config, error) {
	if os.Getenv("AWS_ACCESS_KEY_ID") == "" && os.Getenv("AWS_PROFILE") == "" && !hasProfiles() {
		return aws.Config{}, nil
	}
	if os.Getenv("AWS_ACCESS_KEY_ID") != "" && os.Getenv("AWS_SECRET_ACCESS_KEY") == "" {
		return aws.Config{}, &ConfigError{"AWS_SECRET_ACCESS_KEY", true, "is not set, and AWS_ACCESS_KEY_ID is"}
	}
	// What sessions, roles and services of a cloud know is no key of a gateway, and nobody but that cloud is to see it.
	env, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, profileError(err, "cannot be used")
	}
	if env.Credentials.HasKeys() {
		return aws.Config{Region: env.Region, Credentials: credentials.StaticCredentialsProvider{Value: env.Credentials}}, nil
	}
	profile, err := config.LoadSharedConfigProfile(ctx, cmp.Or(env.SharedConfigProfile, config.DefaultSharedConfigProfile), func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles, o.ConfigFiles = profileFiles()[:1], profileFiles()[1:]
	})
	if err != nil {
		return aws.Config{}, profileError(err, "cannot be used")
	}
	found := aws.Config{Region: cmp.Or(env.Region, profile.Region)}
	switch {
	case profile.Credentials.HasKeys():
		found.Credentials = credentials.StaticCredentialsProvider{Value: profile.Credentials}
	case profile.CredentialProcess != "":
		found.Credentials = aws.NewCredentialsCache(processcreds.NewProvider(profile.CredentialProcess))
	default:
		return aws.Config{}, profileError(nil, "has no access key that can be used, and HSMGATE_TOKEN is not set")
	}
	if _, err := found.Credentials.Retrieve(ctx); err != nil {
		return aws.Config{}, profileError(err, "has no access key that can be used, and HSMGATE_TOKEN is not set")
	}
	return found, nil
}

// profileError says what is wrong with the profile. The library's text is left out: it holds what a credential_process
// has printed, and so secrets.
func profileError(err error, problem string) error {
	var missing config.SharedConfigProfileNotExistError
	if errors.As(err, &missing) {
		problem = "is not there"
	}
	files := strings.Join(profileFiles(), " or ")
	return &ConfigError{"AWS_PROFILE", os.Getenv("AWS_PROFILE") == "", fmt.Sprintf("or its default: the profile %q %s: "+
		"%s has to hold its aws_access_key_id and aws_secret_access_key, or a credential_process that succeeds and prints them as the JSON of AWS's Version 1",
		cmp.Or(os.Getenv("AWS_PROFILE"), "default"), problem, files)}
}

// profileFiles are where profiles are looked for.
func profileFiles() []string {
	home, _ := os.UserHomeDir() // "" finds nothing
	return []string{
		cmp.Or(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, ".aws", "credentials")),
		cmp.Or(os.Getenv("AWS_CONFIG_FILE"), filepath.Join(home, ".aws", "config")),
	}
}

// hasProfiles says whether there is a file of profiles.
func hasProfiles() bool {
	for _, name := range profileFiles() {
		if _, err := os.Stat(name); err == nil {
			return true
		}
	}
	return false
}

// sign signs a request, over its body, path, query and headers. Its errors hold nothing of a credential.
func (c *Client) sign(ctx context.Context, req *http.Request, body []byte) error {
	region := cmp.Or(c.Region, c.AWS.Region)
	if region == "" {
		return &ConfigError{"AWS_REGION", true, "is not set: a request is signed for a region of the gateway"}
	}
	key, err := c.AWS.Credentials.Retrieve(ctx)
	if err != nil {
		return profileError(err, "gives no access key any more")
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if err := v4.NewSigner().SignHTTP(ctx, key, req, hash, awsService, region, time.Now()); err != nil {
		return fmt.Errorf("sign the request: %w", err)
	}
	return nil
}

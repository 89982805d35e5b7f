package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
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
	// No other service of this machine or its cloud is asked: what they know is no key of a gateway.
	found, err := config.LoadDefaultConfig(ctx, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	if err != nil {
		return aws.Config{}, &ConfigError{"AWS_PROFILE", false, "or a file of profiles cannot be used: " + err.Error()}
	}
	if _, err := found.Credentials.Retrieve(ctx); err != nil {
		return aws.Config{}, &ConfigError{"AWS_PROFILE", os.Getenv("AWS_PROFILE") == "", "has no access key, and HSMGATE_TOKEN is not set: " + err.Error()}
	}
	return found, nil
}

// hasProfiles says whether there is a file of profiles.
func hasProfiles() bool {
	home, _ := os.UserHomeDir() // "" finds nothing
	for variable, name := range map[string]string{"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"} {
		if _, err := os.Stat(cmp.Or(os.Getenv(variable), filepath.Join(home, ".aws", name))); err == nil {
			return true
		}
	}
	return false
}

// sign signs a request, over its body, path, query and headers.
func (c *Client) sign(ctx context.Context, req *http.Request, body []byte) error {
	region := cmp.Or(c.Region, c.AWS.Region)
	if region == "" {
		return &ConfigError{"AWS_REGION", true, "is not set: a request is signed for a region of the gateway"}
	}
	key, err := c.AWS.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("no access key to sign with: %w", err)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if err := v4.NewSigner().SignHTTP(ctx, key, req, hash, awsService, region, time.Now()); err != nil {
		return fmt.Errorf("sign the request: %w", err)
	}
	return nil
}

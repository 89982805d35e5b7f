// Package awsclients tests the AWS face with clients that nobody here wrote:
// the AWS CLI, boto3 and the AWS SDK for Go, unmodified, each against a gateway
// of its own on a real token. Signatures and ciphertexts are checked with
// OpenSSL. A test fails where its client is not installed and says what to
// install.
package awsclients

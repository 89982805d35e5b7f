package client

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// DigestToSign is what an approval calls the signature that SignFile makes of what r
// holds. It tells the algorithm, too, which is the key's first if none is chosen.
func (c *Client) DigestToSign(ctx context.Context, ref string, algorithm api.SigningAlgorithm, r io.Reader) (string, api.SigningAlgorithm, error) {
	algorithm, err := c.algorithm(ctx, ref, algorithm)
	if err != nil {
		return "", "", err
	}
	message, messageType, err := Message(algorithm, r)
	if err != nil {
		return "", "", err
	}
	if messageType == api.Raw || algorithm == api.Ed25519PHSHA512 { // what is signed is the message, and here its digest
		sum := sha512.Sum512(message)
		message = sum[:]
	}
	hash, err := Hash(algorithm)
	if err != nil {
		return "", "", err
	}
	return strings.ToLower(strings.ReplaceAll(hash.String(), "-", "")) + ":" + hex.EncodeToString(message), algorithm, nil
}

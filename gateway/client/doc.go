// Package client speaks to an hsmgate gateway over REST, in pure Go. It has one
// method for each operation, with the types of package api.
//
//	c, err := client.FromEnv()
//	signed, err := c.SignFile(ctx, "alias/release", "", file)
//
// [NewSigner] and [NewDecrypter] give a key to whatever takes a [crypto.Signer],
// [crypto.MessageSigner] or [crypto.Decrypter]; only digests travel.
//
// A key is named by its id, its ARN, an alias name or an alias ARN. Methods are
// safe for concurrent use and share connections. What the gateway refuses comes
// back as a [*ResponseError], in which errors.As finds the [*api.Error].
package client

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// verified is the answer of verify in JSON.
type verified struct {
	SignatureValid   bool
	KeyId            string               `json:",omitempty"`
	SigningAlgorithm api.SigningAlgorithm `json:",omitempty"`
}

func newVerify(a *app) *cobra.Command {
	var key, algorithm, signatureFile, publicKey string
	c := &cobra.Command{
		Use:   "verify (--key KEY | --public-key FILE) --signature FILE FILE",
		Short: "Check a signature, by the gateway or offline with a public key",
		Long: `Checks a signature over a file of any size. With --key the gateway checks it, and records that.
With --public-key (PEM or DER) it is checked here, with no gateway. The signature is raw
bytes or base64. Exit code 1: the signature is not good.`,
		Example: "  hsmgate verify --key alias/release --signature app.sig app.tar.gz\n  hsmgate verify --public-key release.pem --signature app.sig app.tar.gz",
		Args:    exactly("a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (key == "") == (publicKey == "") {
				return usagef("exactly one of --key and --public-key is needed")
			}
			if err := required(signatureFile, "signature"); err != nil {
				return err
			}
			chosen, err := oneOf("algorithm", algorithm, signatures)
			if err != nil {
				return err
			}
			signature, err := readSignature(signatureFile)
			if err != nil {
				return err
			}
			if publicKey != "" {
				return a.verifyOffline(publicKey, chosen, args[0], signature)
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				in, err := openInput(args[0])
				if err != nil {
					return err
				}
				defer in.Close()
				out, err := c.VerifyFile(ctx, key, chosen, in, signature)
				if client.Code(err) == api.KMSInvalidSignature {
					return a.notGood(verified{SigningAlgorithm: chosen}, err)
				}
				if err != nil {
					return err
				}
				return a.print(verified{true, out.KeyId, out.SigningAlgorithm}, line("the signature is good: "+out.KeyId+" "+string(out.SigningAlgorithm)))
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias: the gateway checks")
	c.Flags().StringVar(&publicKey, "public-key", "", "file with the public key, PEM or DER: checked here")
	c.Flags().StringVar(&signatureFile, "signature", "", "file with the signature, raw or base64")
	c.Flags().StringVar(&algorithm, "algorithm", "", "signing algorithm (default: the key's first)")
	return c
}

// notGood answers no.
func (a *app) notGood(v verified, err error) error {
	if a.json() {
		if err := printJSON(v); err != nil {
			return err
		}
	}
	return &noError{fmt.Errorf("the signature is not good: %w", err)}
}

const maxSignature = 6144 // bytes

// readRawOrBase64 reads what another verb wrote, with or without --base64, of at
// most limit bytes. Raw bytes that are base64 all through do not occur: DER begins
// with a control byte, and other signatures and ciphertexts are random over
// hundreds of bits.
func readRawOrBase64(file string, limit int) ([]byte, error) {
	data, err := readInput(file, 2*limit)
	if err != nil {
		return nil, err
	}
	if decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(data))); err == nil {
		data = decoded
	}
	if len(data) > limit {
		return nil, fmt.Errorf("%s holds more than %d bytes", file, limit)
	}
	return data, nil
}

// readSignature reads a signature, raw or in base64.
func readSignature(file string) ([]byte, error) {
	data, err := readRawOrBase64(file, maxSignature)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%s is empty", file)
	}
	return data, nil
}

var errBadSignature = errors.New("it was not made by this key over this file with this algorithm")

// verifyOffline checks with a public key from a file.
func (a *app) verifyOffline(keyFile string, algorithm api.SigningAlgorithm, file string, signature []byte) error {
	data, err := readInput(keyFile, 1<<20)
	if err != nil {
		return err
	}
	key, err := parsePublicKey(data)
	if err != nil {
		return fmt.Errorf("%s: %w", keyFile, err)
	}
	if algorithm == "" {
		algorithm = key.algorithms[0]
	}
	in, err := openInput(file)
	if err != nil {
		return err
	}
	defer in.Close()
	message, _, err := client.Message(algorithm, in)
	if err != nil {
		return err
	}
	good, err := key.verify(algorithm, message, signature)
	if err != nil {
		return err
	}
	v := verified{SignatureValid: good, SigningAlgorithm: algorithm}
	if !good {
		return a.notGood(v, errBadSignature)
	}
	return a.print(v, line("the signature is good: "+string(algorithm)))
}

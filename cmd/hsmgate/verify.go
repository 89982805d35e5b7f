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
	"github.com/hsmgate/hsmgate/gateway/format"
)

// verified is the answer of verify in JSON, for a raw signature.
type verified struct {
	SignatureValid   bool
	KeyId            string               `json:",omitempty"`
	SigningAlgorithm api.SigningAlgorithm `json:",omitempty"`
}

// verifyFlags are those of verify.
type verifyFlags struct {
	key, algorithm, format, signature, namespace string
	trust                                        trustFlags
}

const verifyLong = `Checks the signatures of files of any size, each in its format. With --key the gateway checks a raw
signature, and records that. With the others it is checked here, with no gateway:

  --public-key   public keys, any of which may have signed: PEM or DER (of a certificate, too), JWKS,
                 OpenPGP certificates, SSH keys or allowed signers, minisign
  --jwks         a JSON Web Key Set, or a key history: whatever version of the key has signed
  --certificate  certificates: the keys in them or, where all are of authorities, whom these certify
  --trust        the URL of a key that a gateway publishes, such as https://kms.example.org/public/keys/release:
                 its keys are fetched once; --save keeps them in a file for --jwks

The signature is in the file or beside it, under the name that 'hsmgate sign' gives it, or --signature
names it. --format says what it is; without it, the signature's name or content and the file do. A raw signature
is raw bytes or base64. Of several files, each is told: as a line of JSON where standard output is no
terminal. Exit code 1: a signature is not good, or there is none.`

func newVerify(a *app) *cobra.Command {
	var v verifyFlags
	c := &cobra.Command{
		Use:   "verify (--key KEY | --public-key FILE | --jwks FILE | --certificate FILE | --trust URL) FILE...",
		Short: "Check signatures, by the gateway or offline with a public key",
		Long:  verifyLong,
		Example: "  hsmgate verify --key alias/release --signature app.sig app.tar.gz\n" +
			"  hsmgate verify --public-key release.pem --signature app.sig app.tar.gz\n" +
			"  hsmgate verify --jwks release.jwks app.tar.gz app_1.0_all.deb\n" +
			"  hsmgate verify --trust https://kms.example.org/public/keys/release --format openpgp app.tar.gz",
		Args: atLeastOneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if v.trust.count()+given(v.key) != 1 {
				return usagef("exactly one of --key, --public-key, --jwks, --certificate and --trust is needed")
			}
			algorithm, err := oneOf("algorithm", v.algorithm, signatures)
			if err != nil {
				return err
			}
			if v.key != "" {
				return a.verifyOnline(cmd, &v, algorithm, args)
			}
			return a.verifyOffline(cmd.Context(), &v, algorithm, args)
		},
	}
	c.Flags().StringVar(&v.key, "key", "", "key id, ARN or alias: the gateway checks")
	c.Flags().StringVar(&v.signature, "signature", "", "file with the signature")
	c.Flags().StringVar(&v.algorithm, "algorithm", "", "signing algorithm of a raw signature (default: the key's first)")
	c.Flags().StringVar(&v.format, "format", "", "what signature it is (default: found from the files): "+formatNames())
	c.Flags().StringVar(&v.namespace, "namespace", "", "of an SSH signature (default file)")
	v.trust.add(c)
	return c
}

func given(text string) int {
	if text == "" {
		return 0
	}
	return 1
}

// verifyOnline has the gateway check a raw signature.
func (a *app) verifyOnline(cmd *cobra.Command, v *verifyFlags, algorithm api.SigningAlgorithm, args []string) error {
	if v.format != "" && v.format != format.Raw.Name || len(args) > 1 {
		return usagef("the gateway checks the raw signature of one file: leave out --key and name the public key for others")
	}
	if err := required(v.signature, "signature"); err != nil {
		return err
	}
	signature, err := readSignature(v.signature)
	if err != nil {
		return err
	}
	return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
		in, err := openInput(args[0])
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := c.VerifyFile(ctx, v.key, algorithm, in, signature)
		if client.Code(err) == api.KMSInvalidSignature {
			return a.notGood(verified{SigningAlgorithm: algorithm}, fmt.Errorf("%w: %w", format.ErrNotGood, err))
		}
		if err != nil {
			return err
		}
		return a.print(verified{true, out.KeyId, out.SigningAlgorithm}, line("the signature is good: "+out.KeyId+" "+string(out.SigningAlgorithm)))
	})(cmd, args)
}

// notGood answers no.
func (a *app) notGood(v verified, err error) error {
	if a.json() {
		if err := printJSON(v); err != nil {
			return err
		}
	}
	return &noError{err}
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
		return nil, fmt.Errorf("%s holds more than %d bytes", shown(file), limit)
	}
	return data, nil
}

// readSignature reads a raw signature, as bytes or in base64.
func readSignature(file string) ([]byte, error) {
	data, err := readRawOrBase64(file, maxSignature)
	if err == nil && len(data) == 0 {
		err = errors.New(shown(file) + " is empty")
	}
	return data, err
}

package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
)

// bytesOut is where and in which form a verb writes bytes.
type bytesOut struct {
	file   string
	base64 bool
	secret bool // the file is for its owner alone
}

func (b *bytesOut) flags(c *cobra.Command, what string) {
	c.Flags().StringVarP(&b.file, "output-file", "o", "", "file for the "+what+" (default: standard output)")
	c.Flags().BoolVar(&b.base64, "base64", false, "one line of base64 in place of raw bytes")
}

// check refuses before any work is done.
func (b *bytesOut) check(a *app) error {
	if err := mayWrite(b.file); err != nil || b.base64 || a.json() {
		return err
	}
	return refuseTerminal(b.file)
}

// write writes the bytes; with --output json also v, to standard output.
func (b *bytesOut) write(a *app, data []byte, v any) error {
	if a.json() && b.file == "" {
		return printJSON(v)
	}
	if err := b.bytes(data); err != nil || !a.json() {
		return err
	}
	return printJSON(v)
}

func (b *bytesOut) bytes(data []byte) error {
	if b.base64 {
		data = append([]byte(base64.StdEncoding.EncodeToString(data)), '\n')
	}
	if b.secret && b.file != "" && b.file != "-" {
		return writeFile(b.file, data, 0o600, true)
	}
	return writeBytes(b.file, data)
}

const signLong = `Signs files, which are hashed here: only digests travel. Of one file of no kind that has a
format of its own, or with --algorithm, --base64 or --receipt, the answer is the signature, raw
bytes (DER for ECDSA). ED25519_SHA_512 signs the file itself, of at most 4096 bytes.

--format says how to sign; without it, the file's kind does. A detached signature goes to a
file beside it, such as FILE.asc, and other formats put it into the file itself; -o names
another file. Formats of Windows, Java and Android need the key's X.509 certificate, which they
put into the file: --certificate. Either is written whole or not at all. A file that this key has signed already
is left as it is, so a run that was cut off can be repeated. Of several files, each is told
as it is done, as a line of JSON where standard output is no terminal, and signatures of others
among them are skipped. Their digests go to the gateway many at a time.

-o names the file for the signature; --output json chooses the form of the answer, which
holds the audit records, too, and a raw signature itself.

--receipt names a file for the receipt of the call: its record in the gateway's audit log, and the
proof that it is there, in JSON. Anybody can check it with the log's public key alone. It comes with
a checkpoint of the log, which takes a moment.

--context and --artifact-… state what the signature is for: policies may ask for it and the
audit record holds it. It is no part of the signature, and nobody checks that it is true. The digest
that is stated by default is of the file as it is before it is signed.`

func newSign(a *app) *cobra.Command {
	var key, algorithm string
	var bound contextFlag
	var artifact api.Artifact
	var out bytesOut
	var formats formatFlags
	var receipt string
	c := &cobra.Command{
		Use: "sign --key KEY FILE...", Short: "Sign files of any size, each in the format of its kind; '-' is standard input, for a raw signature", Args: atLeastOneFile,
		Long: signLong,
		Example: "  hsmgate sign --key alias/release --output-file app.sig app.tar.gz\n" +
			"  hsmgate sign --key alias/release --certificate release.crt setup.exe setup.msi app.jar\n" +
			"  hsmgate sign --key alias/release --format openpgp dist/*.tar.gz\n" +
			"  hsmgate sign --key alias/release --artifact-name app --artifact-version 1.2 --context pipeline=nightly -o app.sig app.tar.gz\n" +
			"  hsmgate sign --key alias/release --receipt app.receipt -o app.sig app.tar.gz\n" +
			"  git archive HEAD | hsmgate sign --key alias/release --algorithm RSASSA_PSS_SHA_256 --base64 -",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(key, "key"); err != nil {
				return err
			}
			stated := &api.SignRequest{KeyTarget: target(key), SigningContext: bound.pairs}
			if artifact != (api.Artifact{}) {
				stated.Artifact = &artifact
			}
			raw := algorithm != "" || out.base64 || receipt != ""
			if !formats.plain(args, raw) {
				if raw {
					return usagef("--algorithm, --base64 and --receipt are for a single raw signature")
				}
				return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
					return a.signFiles(ctx, c, &formats, stated, out.file, args)
				})(cmd, args)
			}
			if len(formats.stamps.urls) > 0 {
				return noTimestamp(format.Raw)
			}
			chosen, err := oneOf("algorithm", algorithm, signatures)
			if err != nil {
				return err
			}
			stated.SigningAlgorithm, stated.Receipt, stated.DryRun = chosen, receipt != "", formats.dryRun
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				return a.signRaw(ctx, c, args[0], stated, &out, receipt)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias")
	c.Flags().StringVar(&algorithm, "algorithm", "", "signing algorithm (default: the key's first)")
	c.Flags().Var(&bound, "context", "a name and a value that say what the signature is for; may be given again")
	c.Flags().StringVar(&artifact.Name, "artifact-name", "", "name of what is signed")
	c.Flags().StringVar(&artifact.Version, "artifact-version", "", "its version")
	c.Flags().StringVar(&artifact.Repository, "artifact-repository", "", "where its source is")
	c.Flags().StringVar(&artifact.Commit, "artifact-commit", "", "the commit that it is made of")
	c.Flags().StringVar(&artifact.Run, "artifact-run", "", "the run of the workflow that made it")
	c.Flags().StringVar(&artifact.Digest, "artifact-digest", "", "its digest, such as sha256:… (default, in a format or with a name or a version: the SHA-256 of the file)")
	c.Flags().StringVar(&receipt, "receipt", "", "file for the receipt of the call, in JSON")
	out.flags(c, "signature")
	formats.add(c)
	return c
}

// signRaw makes the signature of one file, or asks whether it may be made.
func (a *app) signRaw(ctx context.Context, c *client.Client, name string, stated *api.SignRequest, out *bytesOut, receipt string) error {
	r := signedFile{File: name, Format: format.Raw.Name, Status: statusSigned}
	r.failed(a.signStream(ctx, c, stated, out, receipt, &r))
	if a.json() || stated.DryRun {
		newSignReport(a, 1).add(r)
	}
	return r.err
}

// signStream makes the signature of a file, which is read once, and writes it and the receipt to their files.
func (a *app) signStream(ctx context.Context, c *client.Client, stated *api.SignRequest, out *bytesOut, receipt string, r *signedFile) error {
	if err := errors.Join(out.check(a), notItself(r.File, out.file), mayWrite(receipt), notItself(r.File, receipt)); err != nil {
		return err
	}
	in, err := openInput(r.File)
	if err != nil {
		return err
	}
	defer in.Close()
	file := bufio.NewReader(in)
	if _, err := file.Peek(1); errors.Is(err, io.EOF) {
		return usagef("%s is empty: name the file to sign", shown(r.File))
	}
	made, err := c.SignFileAs(ctx, stated, file)
	would := stated.DryRun && client.Code(err) == api.DryRunOperation
	if err != nil && !would {
		return err
	}
	if out.file != "" {
		r.Outputs = []string{out.file}
	}
	if would {
		r.Status = statusWould
		return nil
	}
	r.made(made)
	if receipt != "" {
		if err := writeReceipt(receipt, made.Receipt); err != nil {
			return err
		}
	}
	if a.json() && out.file == "" {
		return nil // it is in the answer
	}
	return out.bytes(made.Signature)
}

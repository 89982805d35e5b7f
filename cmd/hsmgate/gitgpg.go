package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// maxGitObject is the most bytes of what git has signed.
const maxGitObject = 64 << 20

// asGPG signs as git's gpg.program does, --status-fd=2 -bsau KEY with the object as standard input (git-config(1),
// gpg.program), and leaves all else to gpg.
func asGPG(ctx context.Context, a *app, args []string) error {
	var key string
	var detached bool
	var status int
	flags := pflag.NewFlagSet("gpg", pflag.ContinueOnError)
	flags.BoolVarP(&detached, "detach-sign", "b", false, "")
	flags.BoolP("sign", "s", false, "")
	flags.BoolP("armor", "a", false, "")
	flags.StringVarP(&key, "local-user", "u", "", "")
	flags.IntVar(&status, "status-fd", 2, "")
	if err := flags.Parse(args); err != nil || !detached || flags.NArg() > 0 {
		return handOver("gpg", args)
	}
	in, err := spool(os.Stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	s := gitSigning{format: format.OpenPGP, key: key}
	signature, err := s.sign(ctx, a, in)
	if err != nil {
		return err
	}
	line, err := format.OpenPGPCreated(bytes.NewReader(signature))
	if err != nil {
		return err
	}
	if err := writeBytes("", signature); err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.NewFile(uintptr(status), "status-fd"), "[GNUPG:] BEGIN_SIGNING\n[GNUPG:] %s\n", line)
	return err
}

// spool keeps a stream in a file without a name, since formats read what they sign more than once.
func spool(r io.Reader) (*os.File, error) {
	f, err := os.CreateTemp("", "hsmgate-git-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	n, err := io.Copy(f, io.LimitReader(r, maxGitObject+1))
	if err == nil && n > maxGitObject {
		err = fmt.Errorf("what is to be signed has more than %d bytes", maxGitObject)
	}
	if err == nil && n == 0 {
		err = usagef("there is nothing to sign on standard input")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// maxSSHKey is the most bytes of a file with a public key.
const maxSSHKey = 64 << 10

// asSSHKeygen signs as git's gpg.ssh.program does, -Y sign -n git -f KEY [-U] FILE, where the signature goes to FILE.sig
// (ssh-keygen(1)), and leaves all else to ssh-keygen.
func asSSHKeygen(ctx context.Context, a *app, args []string) error {
	flags := flag.NewFlagSet("ssh-keygen", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	verb := flags.String("Y", "", "")
	key := flags.String("f", "", "")
	namespace := flags.String("n", "", "")
	flags.Bool("U", false, "") // the private key is with an agent
	if err := flags.Parse(args); err != nil || *verb != "sign" || flags.NArg() != 1 {
		return handOver("ssh-keygen", args)
	}
	s, err := sshSigning(ctx, *key)
	if err != nil {
		return err
	}
	s.namespace = *namespace
	in, err := openArtifact(flags.Arg(0))
	if err != nil {
		return err
	}
	defer in.Close()
	signature, err := s.sign(ctx, a, in)
	if err != nil {
		return err
	}
	return writeFile(flags.Arg(0)+".sig", signature, newMode, false)
}

// sshSigning finds the key of user.signingkey: the gateway's name of it, or a public key in a file (git makes one of a
// literal key), and then hsmgate.key names it. Where both are the same name, or there is only a relative one, it is the
// gateway's: that a repository holds a file of this name, which anybody may have put there, changes nothing.
func sshSigning(ctx context.Context, named string) (*gitSigning, error) {
	key, unset := git(ctx, "config", "--get", gitKey)
	if named == key || unset != nil && !filepath.IsAbs(named) {
		return &gitSigning{format: format.SSH, key: named}, nil
	}
	text, err := readInput(named, maxSSHKey)
	if errors.Is(err, fs.ErrNotExist) {
		return &gitSigning{format: format.SSH, key: named}, nil
	}
	if err != nil {
		return nil, err
	}
	read, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, usagef("%s, which user.signingkey names, holds no SSH public key: %w", named, err)
	}
	public, ok := read.(ssh.CryptoPublicKey)
	if !ok {
		return nil, usagef("%s holds a key of type %s, which the gateway does not have", named, read.Type())
	}
	if unset != nil {
		return nil, &hintedError{fmt.Errorf("user.signingkey holds a public key, and %s does not say which key of the gateway it is: %w", gitKey, unset), "git config " + gitKey + " KEY"}
	}
	return &gitSigning{format: format.SSH, key: key, public: public.CryptoPublicKey()}, nil
}

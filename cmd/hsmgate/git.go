package main

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
)

// gitKey is the setting of git that names the gateway's key where user.signingkey holds a public key.
const gitKey = "hsmgate.key"

// gitSigning is one signature for git.
type gitSigning struct {
	format    *format.Format
	key       string           // as the gateway knows it
	public    crypto.PublicKey // what the key has to be; nil: whatever it is
	namespace string           // of an SSH signature
}

// sign signs what git hands over: a commit, a tag, or the certificate of a push.
func (s *gitSigning) sign(ctx context.Context, a *app, in *os.File) ([]byte, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	made, err := client.NewSigner(ctx, c, s.key)
	if client.Code(err) == api.Validation || client.Code(err) == api.NotFound {
		return nil, &hintedError{fmt.Errorf("user.signingkey is %q: %w", s.key, err), "name a key of the gateway: hsmgate git setup --key KEY"}
	}
	if err != nil {
		return nil, err
	}
	if s.public != nil && !made.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(s.public) {
		return nil, &hintedError{usagef("the public key in user.signingkey is not that of %s, which %s names", s.key, gitKey), "run hsmgate git setup again, or name the key itself in user.signingkey"}
	}
	if made.Artifact, err = gitObject(in); err != nil {
		return nil, err
	}
	k := &format.Key{Signer: made, Namespace: s.namespace}
	if err := s.format.Suits(k); err != nil {
		return nil, &usageError{err}
	}
	if s.format.Dated {
		if k.Created, err = since(ctx, c, made); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	if err := s.format.Sign(ctx, k, in, &out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// gitObject says in the audit record what is signed, by the first lines of a commit or a tag (git-mktag(1)).
func gitObject(in io.ReaderAt) (*api.Artifact, error) {
	head := make([]byte, 4096)
	n, err := in.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	lines := append(strings.SplitN(string(head[:n]), "\n", 4), "", "")
	object, isTag := strings.CutPrefix(lines[0], "object ")
	tag, isNamed := strings.CutPrefix(lines[2], "tag ")
	switch {
	case strings.HasPrefix(lines[0], "tree "):
		return &api.Artifact{Name: "git commit"}, nil
	case isTag && isNamed && lines[1] == "type commit":
		return &api.Artifact{Name: "git tag " + tag, Commit: object}, nil
	case isTag && isNamed:
		return &api.Artifact{Name: "git tag " + tag}, nil
	}
	return &api.Artifact{Name: "git"}, nil
}

// git runs git and gives what it prints, without the end of its line.
func git(ctx context.Context, args ...string) (string, error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", args...) //nolint:gosec // G204: git, with arguments that are made here
	cmd.Stderr = &said
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", &usageError{err}
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(said.Bytes()))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
)

func newGit(a *app) *cobra.Command {
	return group("git", "Sign the commits and tags of a git repository", newGitSetup(a))
}

// gitSettings is the answer of git setup in JSON.
type gitSettings struct {
	KeyId    string
	Format   string // git's gpg.format
	Settings []gitSetting
}

type gitSetting struct{ Name, Value string }

func newGitSetup(a *app) *cobra.Command {
	var key string
	var asSSH, asOpenPGP bool
	c := &cobra.Command{
		Use: "setup --key KEY", Short: "Have git sign the commits of this repository with a key of the gateway", Args: noArgs,
		Long: `Changes the settings of the git repository in the current folder, and nothing else: commits are
signed from then on, and tags with 'git tag -s'. Signatures are OpenPGP, or SSH with an Ed25519 key or --ssh.
git finds hsmgate by a link in the repository's .git folder; where hsmgate moves, run it again.

HSMGATE_URL and what says who calls are needed whenever git signs. To verify, git uses gpg and ssh-keygen.`,
		Example: "  hsmgate git setup --key alias/release\n  hsmgate git setup --key alias/release --ssh && git commit -m 'A signed commit'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(key, "key"); err != nil {
				return err
			}
			if asSSH && asOpenPGP {
				return usagef("it is either --ssh or --openpgp")
			}
			return a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
				made, err := client.NewSigner(ctx, c, key)
				if err != nil {
					return err
				}
				if _, ok := made.Public().(ed25519.PublicKey); ok && !asOpenPGP {
					asSSH = true
				}
				return a.setUpGit(ctx, made, key, asSSH)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias")
	c.Flags().BoolVar(&asSSH, "ssh", false, "SSH signatures")
	c.Flags().BoolVar(&asOpenPGP, "openpgp", false, "OpenPGP signatures (default, but with an Ed25519 key)")
	return c
}

// setUpGit makes the link and the settings. That commits are signed is the last of them.
func (a *app) setUpGit(ctx context.Context, made *client.Signer, key string, asSSH bool) error {
	name, setting, program, with := "openpgp", "gpg.program", calledGPG, format.OpenPGP
	if asSSH {
		name, setting, program, with = "ssh", "gpg.ssh.program", calledSSHKeygen, format.SSH
	}
	if err := with.Suits(&format.Key{Signer: made}); err != nil {
		return &usageError{err}
	}
	folder, err := git(ctx, "rev-parse", "--path-format=absolute", "--git-common-dir")
	if err != nil {
		return &usageError{err}
	}
	link := filepath.Join(folder, program)
	if err := linkTo(link); err != nil {
		return err
	}
	settings := []gitSetting{{"gpg.format", name}, {setting, link}, {"user.signingkey", key}, {gitKey, key}, {"commit.gpgsign", "true"}}
	for _, s := range settings {
		if _, err := git(ctx, "config", "--local", s.Name, s.Value); err != nil {
			return err
		}
	}
	return a.saySetUp(&gitSettings{made.Key().KeyId, name, settings}, key)
}

// linkTo makes or renews a link to this program.
func linkTo(link string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if info, err := os.Lstat(link); err == nil && info.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("%s is in the way: it is no link", shown(link))
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(program, link)
}

// saySetUp says what was set, and what who verifies needs.
func (a *app) saySetUp(s *gitSettings, key string) error {
	err := a.print(s, func(w io.Writer) {
		for _, set := range s.Settings {
			fmt.Fprintf(w, "%s\t%s\n", set.Name, shown(set.Value))
		}
	})
	if s.Format == "ssh" {
		hint("to verify: hsmgate key public-key %s --format %s --principal ADDRESS >allowed, and git config gpg.ssh.allowedSignersFile", key, formAllowed)
	} else {
		hint("to verify: hsmgate key public-key %s --format %s --user-id 'NAME <ADDRESS>' | gpg --import", key, formOpenPGP)
	}
	return err
}

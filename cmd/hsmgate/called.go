package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Who calls a program by one name, with arguments of his own, finds hsmgate behind links with these names.
const (
	calledGPG       = "hsmgate-gpg"          // git's gpg.program
	calledSSHKeygen = "hsmgate-ssh-keygen"   // git's gpg.ssh.program
	calledKMS       = "sigstore-kms-hsmgate" // Sigstore's plugin for keys that are named hsmgate://KEY
)

// called is what hsmgate is under the name that it was called by; nil for its own.
func called(program string) func(context.Context, *app, []string) error {
	switch strings.TrimSuffix(filepath.Base(program), ".exe") {
	case calledGPG:
		return asGPG
	case calledSSHKeygen:
		return asSSHKeygen
	case calledKMS:
		return asKMSPlugin
	}
	return nil
}

// handOver becomes the program that hsmgate was called in place of, for what needs no key of the gateway.
func handOver(program string, args []string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return &hintedError{fmt.Errorf("only signatures are made here, and for the rest there is no %s: %w", program, err), "install " + program}
	}
	return syscall.Exec(path, append([]string{program}, args...), os.Environ()) //nolint:gosec // G204: gpg or ssh-keygen, with what git asks of it
}

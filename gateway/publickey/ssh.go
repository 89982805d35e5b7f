package publickey

import (
	"crypto"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// sshPublicKeys reads lines of authorized_keys or of allowed signers. Options say when a line holds, which is not weighed
// here, so that a line with options is refused.
func sshPublicKeys(text string) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) > 1 && !isSSHKind(fields[0]) { // who signs
			fields = fields[1:]
		}
		switch {
		case !isSSHKind(fields[0]) && len(fields) > 1 && isSSHKind(fields[1]):
			return nil, fmt.Errorf("a line of allowed signers has options (%s), which are not weighed here: give one without them", fields[0])
		case !isSSHKind(fields[0]):
			return nil, ErrNone
		}
		parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(strings.Join(fields, " ")))
		if err != nil {
			return nil, fmt.Errorf("%w that SSH can read: %w", ErrNone, err)
		}
		public, ok := parsed.(ssh.CryptoPublicKey)
		if !ok {
			return nil, fmt.Errorf("%w: an SSH key of kind %s is in hardware or a certificate", ErrKey, parsed.Type())
		}
		keys = append(keys, public.CryptoPublicKey())
	}
	if len(keys) == 0 {
		return nil, ErrNone
	}
	return keys, nil
}

func isSSHKind(word string) bool {
	return strings.HasPrefix(word, "ssh-") || strings.HasPrefix(word, "ecdsa-sha2-")
}

// AllowedSigner is the key's line of the file that ssh-keygen -Y verify takes, for who signs as principal.
func AllowedSigner(key crypto.PublicKey, principal string) (string, error) {
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	return principal + " " + string(ssh.MarshalAuthorizedKey(public)), nil
}

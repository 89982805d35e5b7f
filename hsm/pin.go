package hsm

import (
	"fmt"
	"os"
	"strings"
)

// readPIN reads the PIN from its file; nil where there is no login.
func readPIN(c Config) (*string, error) {
	bad := func(detail, advice string) error {
		return &Error{Kind: ErrInvalid, Op: "open", Detail: detail, Advice: advice}
	}
	if c.NoLogin {
		return nil, nil
	}
	if c.PINFile == "" {
		return nil, bad("no PIN file is set", "set pin_file, or no_login for a token that has no login")
	}
	info, err := os.Stat(c.PINFile)
	if err != nil {
		return nil, bad("the PIN file: "+err.Error(), "")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, bad(fmt.Sprintf("the PIN file %s has mode %04o", c.PINFile, mode), "chmod 600 "+c.PINFile)
	}
	b, err := os.ReadFile(c.PINFile)
	if err != nil {
		return nil, bad("the PIN file: "+err.Error(), "")
	}
	pin := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if pin == "" {
		return nil, bad("the PIN file "+c.PINFile+" is empty", "")
	}
	return &pin, nil
}

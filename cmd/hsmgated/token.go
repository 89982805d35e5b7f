package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/hsm"
)

func newToken() *cobra.Command {
	return group("token", "Make tokens", newTokenInit())
}

func newTokenInit() *cobra.Command {
	var module, initArgs, label, pinFile, soPINFile string
	c := &cobra.Command{
		Use:   "init --module FILE --label NAME --pin-file FILE --so-pin-file FILE",
		Short: "Make a token in a free slot of a PKCS#11 module",
		Long: `Initialises a token in a free slot and sets its user PIN. It refuses a label that exists.
PINs come from files of mode 0600; one newline at their end is cut. Prints the token's
serial number. The module's own settings come from the environment, such as SOFTHSM2_CONF.`,
		Example: "  SOFTHSM2_CONF=var/softhsm2.conf hsmgated token init --module /usr/lib/softhsm/libsofthsm2.so \\\n    --label hsmgate --pin-file var/pin --so-pin-file var/so-pin",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if module == "" || label == "" || pinFile == "" || soPINFile == "" {
				return &usageError{errors.New("--module, --label, --pin-file and --so-pin-file are all needed")}
			}
			pin, err := readSecret("PIN", pinFile)
			if err != nil {
				return err
			}
			soPIN, err := readSecret("PIN", soPINFile)
			if err != nil {
				return err
			}
			serial, err := hsm.InitToken(module, initArgs, label, soPIN, pin)
			if err != nil {
				return err
			}
			fmt.Println(serial)
			return nil
		},
	}
	c.Flags().StringVar(&module, "module", "", "path of the PKCS#11 library")
	c.Flags().StringVar(&initArgs, "init-args", "", "handed to C_Initialize (NSS needs it)")
	c.Flags().StringVar(&label, "label", "", "label of the new token")
	c.Flags().StringVar(&pinFile, "pin-file", "", "file with the user PIN")
	c.Flags().StringVar(&soPINFile, "so-pin-file", "", "file with the security officer's PIN")
	return c
}

// readSecret reads a secret from a file that nobody else may read.
func readSecret(what, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("the %s file: %w", what, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", &hintedError{fmt.Errorf("the %s file %s has mode %04o, so others may read it", what, path, mode), "chmod 600 " + path}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("the %s file: %w", what, err)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if secret == "" {
		return "", fmt.Errorf("the %s file %s is empty", what, path)
	}
	return secret, nil
}

package main

import (
	"bytes"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
	"github.com/hsmgate/hsmgate/gateway/publickey"
)

// madeForms are forms of a public key that are made here.
type madeForms struct {
	userID    string
	principal string
}

func (m *madeForms) flags(c *cobra.Command) {
	c.Flags().StringVar(&m.userID, "user-id", "", "name and address in an OpenPGP certificate, which the key signs")
	c.Flags().StringVar(&m.principal, "principal", "", "who signs, in an SSH allowed signers file")
}

// names of the forms.
const (
	formOpenPGP  = "openpgp"
	formAllowed  = "ssh-allowed-signer"
	formMinisign = "minisign"
)

func (m *madeForms) has(form string) bool {
	return form == formOpenPGP || form == formAllowed || form == formMinisign
}

// text gives the key in one of these forms, or in one that the gateway makes.
func (m *madeForms) text(ctx context.Context, c *client.Client, ref, form, mediaType string) ([]byte, error) {
	if mediaType != "" {
		return c.PublicKeyAs(ctx, ref, mediaType)
	}
	return m.write(ctx, c, ref, form)
}

// write gives the key in one of these forms.
func (m *madeForms) write(ctx context.Context, c *client.Client, ref, form string) ([]byte, error) {
	signer, err := client.NewSigner(ctx, c, ref)
	if err != nil {
		return nil, err
	}
	var text string
	switch form {
	case formOpenPGP:
		return m.openPGP(ctx, c, signer)
	case formAllowed:
		if err := required(m.principal, "principal"); err != nil {
			return nil, err
		}
		text, err = publickey.AllowedSigner(signer.Public(), m.principal)
	case formMinisign:
		text, err = publickey.Minisign(signer.Public())
	}
	if err != nil {
		err = &usageError{err}
	}
	return []byte(text), err
}

func (m *madeForms) openPGP(ctx context.Context, c *client.Client, signer *client.Signer) ([]byte, error) {
	if err := required(m.userID, "user-id"); err != nil {
		return nil, err
	}
	created, err := since(ctx, c, signer)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = format.OpenPGPCertificate(&format.Key{Signer: signer, Created: created, UserID: m.userID}, &out)
	if errors.Is(err, format.ErrKey) { // of another kind, or the user id is none
		err = &usageError{err}
	}
	return out.Bytes(), err
}

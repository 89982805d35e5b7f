package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// writeReceipt writes a receipt to a file, or to standard output.
func writeReceipt(file string, r *api.Receipt) error {
	if r == nil {
		return errors.New("the gateway gives no receipts: it is of an older version")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return err
	}
	return writeBytes(file, b.Bytes())
}

func newAuditReceipt(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "receipt NUMBER", Short: "Get the receipt of an earlier call from the gateway", Args: exactly("the number of a record"),
		Long: `Gets the receipt of a call: its record in the gateway's audit log, and the proof that it is there, in
JSON. The number is in the answer of the call (Hsmgate-Audit-Record, or AuditRecords of
'hsmgate sign --output json', before the colon). You may have the receipts of your own calls;
those of others take the permission hsmgate:GetReceipt.`,
		Example: "  hsmgate audit receipt 17\n  hsmgate audit receipt 17 -o app.receipt",
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return usagef("%q is not the number of a record: it is a whole number from 1", args[0])
			}
			return a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
				r, err := c.GetReceipt(ctx, &api.GetReceiptRequest{RecordNumber: n})
				if err != nil {
					return err
				}
				return writeReceipt(file, (*api.Receipt)(r))
			})(cmd, args)
		},
	}
	c.Flags().StringVarP(&file, "output-file", "o", "", "file for the receipt (default: standard output)")
	return c
}

func newAuditKey(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Get the public keys that sign the checkpoints of the gateway's audit log", Args: noArgs,
		Long: `Prints the verifier keys (c2sp.org/signed-note) of the gateway's audit log, the newest first. Keep them
in another place: whoever checks a receipt trusts no more than the key that he has.`,
		Example: "  hsmgate audit key > log.vkey",
		RunE: a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
			keys, err := c.LogKeys(ctx)
			if err != nil {
				return err
			}
			return a.print(struct{ Keys []string }{keys}, func(w io.Writer) {
				for _, k := range keys {
					_, _ = io.WriteString(w, k+"\n")
				}
			})
		}),
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newKeyRotate(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rotate KEY", Short: "Give a key a new version now", Args: exactly("a key"),
		Long: `Gives a key a new version. The public key of a pair's new version is published first and signs after
the overlap that the gateway is configured with ('hsmgate key versions' shows when); what older
versions made still verifies and decrypts. ` + aliasCosts,
		Example: "  hsmgate key rotate alias/release",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			out, err := c.RotateKeyOnDemand(ctx, &api.RotateKeyOnDemandRequest{KeyTarget: target(id)})
			if err != nil {
				return err
			}
			if p := out.Published; p != nil {
				hint("publish the OpenPGP certificate of version %d once it is used: %s", out.KeyVersion, publishAnew(p))
			}
			return a.print(out, line(fmt.Sprintf("version %d is made; 'hsmgate key versions' shows from when it is used", out.KeyVersion)))
		}),
	}
}

func newKeyRotation(a *app) *cobra.Command {
	var days int
	var off bool
	c := &cobra.Command{
		Use: "rotation KEY", Short: "Show or set when a key gets new versions by itself", Args: exactly("a key"),
		Long:    "Shows when a key gets its next version by itself, or sets it. " + aliasCosts,
		Example: "  hsmgate key rotation alias/release\n  hsmgate key rotation --every 365 alias/release\n  hsmgate key rotation --off alias/release",
		RunE: func(cmd *cobra.Command, args []string) error {
			every := cmd.Flags().Changed("every")
			if every && off {
				return usagef("--every and --off contradict each other: give one of them")
			}
			if every && (days < 90 || days > 2560) {
				return usagef("--every is 90 to 2560 days, not %d", days)
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				id, err := keyID(ctx, c, args[0])
				switch {
				case err != nil:
					return err
				case every:
					_, err = c.EnableKeyRotation(ctx, &api.EnableKeyRotationRequest{KeyTarget: target(id), RotationPeriodInDays: &days})
				case off:
					_, err = c.DisableKeyRotation(ctx, &api.DisableKeyRotationRequest{KeyTarget: target(id)})
				}
				if err != nil {
					return err
				}
				return a.showRotation(ctx, c, id)
			})(cmd, args)
		},
	}
	c.Flags().IntVar(&days, "every", 0, "days between two versions, 90 to 2560")
	c.Flags().BoolVar(&off, "off", false, "no new versions by itself")
	return c
}

func (a *app) showRotation(ctx context.Context, c *client.Client, id string) error {
	out, err := c.GetKeyRotationStatus(ctx, &api.GetKeyRotationStatusRequest{KeyTarget: target(id)})
	if err != nil {
		return err
	}
	text := "off"
	if out.KeyRotationEnabled {
		text = fmt.Sprintf("every %d days, next %s", out.RotationPeriodInDays, day(out.NextRotationDate))
	}
	if out.OnDemandRotationStartDate != nil {
		text += "; a new version, made at " + day(out.OnDemandRotationStartDate) + ", is not used yet"
	}
	switch p := out.Published; {
	case p != nil && lacksCertificate(p):
		hint("version %d is used and has no OpenPGP certificate: %s", p.CurrentVersion, publishAnew(p))
	case p != nil && out.KeyRotationEnabled:
		hint("publish the OpenPGP certificate of each new version once it is used: %s", publishAnew(p))
	case p != nil && out.OnDemandRotationStartDate != nil:
		hint("publish the OpenPGP certificate of the new version once it is used: %s", publishAnew(p))
	}
	return a.print(out, line(text))
}

func newKeyVersions(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "versions KEY", Short: "List the versions of a key", Args: exactly("a key"),
		Long: `Lists the versions of a key, the oldest first. Of imported material also whether it is there (IMPORTED) or
has to come back (PENDING_IMPORT), when it expires, and its description. ` + aliasCosts,
		Example: "  hsmgate key versions alias/release\n  hsmgate key versions --output json alias/imported",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			all := []api.RotationsListEntry{}
			in := &api.ListKeyRotationsRequest{KeyTarget: target(id), IncludeKeyMaterial: api.AllKeyMaterial}
			for {
				out, err := c.ListKeyRotations(ctx, in)
				if err != nil {
					return err
				}
				all = append(all, out.Rotations...)
				if !out.Truncated {
					break
				}
				in.Marker = out.NextMarker
			}
			return a.print(all, func(w io.Writer) { printVersions(w, all) })
		}),
	}
}

func printVersions(w io.Writer, all []api.RotationsListEntry) {
	imported := slices.ContainsFunc(all, func(v api.RotationsListEntry) bool { return v.ImportState != "" })
	header := "VERSION\tSTATE\tUSED FROM\tBY\tMATERIAL"
	if imported {
		header += "\tIMPORT\tEXPIRES\tDESCRIPTION"
	}
	fmt.Fprintln(w, header)
	for _, v := range all {
		from, by := "", string(v.RotationType)
		if v.RotationDate != nil {
			from = day(v.RotationDate)
		}
		switch {
		case by == "" && v.KeyMaterialState == api.PendingRotation: // imported, and waiting for a rotation
			from, by = "-", "-"
		case by == "":
			from, by = "creation", "-"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s", v.KeyVersion, v.KeyMaterialState, from, by, v.KeyMaterialId)
		if imported {
			fmt.Fprintf(w, "\t%s\t%s\t%s", v.ImportState, expiry(v), v.KeyMaterialDescription)
		}
		fmt.Fprintln(w)
	}
}

// expiry says until when imported material may be used; of material that is gone, nothing.
func expiry(v api.RotationsListEntry) string {
	if v.ExpirationModel == api.KeyMaterialDoesNotExpire {
		return "never"
	}
	return day(v.ValidTo)
}

func newKeyHistory(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "history KEY", Short: "Write the public keys of all versions, signed by the key", Args: exactly("a key"),
		Long: `Writes a JSON Web Signature by the key's current version. Its payload is a JSON Web Key Set with the
time in which each version signs, the announced one too.`,
		Example: "  hsmgate key history alias/release -o release-history.json",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			out, err := c.GetKeyHistory(ctx, &api.GetKeyHistoryRequest{KeyTarget: target(args[0])})
			if err != nil {
				return err
			}
			text, err := json.MarshalIndent(out, "", "  ")
			if err != nil {
				return err
			}
			return writeBytes(file, append(text, '\n'))
		}),
	}
	c.Flags().StringVarP(&file, "output-file", "o", "", "file to write (default: standard output)")
	return c
}

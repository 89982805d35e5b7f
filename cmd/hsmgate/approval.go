package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newApproval(a *app) *cobra.Command {
	return group("approval", "Ask for approval of signatures, and approve them", newApprovalRequest(a), newApprovalApprove(a), newApprovalReject(a),
		newApprovalCancel(a), newApprovalList(a), newApprovalShow(a), newApprovalRule(a))
}

func newApprovalApprove(a *app) *cobra.Command {
	var hash string
	c := &cobra.Command{
		Use: "approve KEY ID --hash HASH", Short: "Approve a request, as an approver of its key", Args: exactly("a key", "the id of a request"),
		Long:    "Approves a request. The hash is that of the request as 'hsmgate approval show' shows it, so that nobody approves what he has not seen.",
		Example: "  hsmgate approval approve alias/release 0197f0a1-5a5e-7c3e-9d41-0a6f7f0f1a2b --hash sha256:9b74c9897bac770ffc029102a200c5de5a6a1f0c7c5e8f3c3a1f0b6e4f2d7a10",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			if err := required(hash, "hash"); err != nil {
				return err
			}
			_, err := c.ApproveRequest(ctx, &api.ApproveRequestRequest{KeyTarget: target(args[0]), ApprovalId: args[1], Hash: hash})
			return err
		}),
	}
	c.Flags().StringVar(&hash, "hash", "", "hash of the request")
	return c
}

func newApprovalReject(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "reject KEY ID", Short: "Reject a request, as an approver of its key", Args: exactly("a key", "the id of a request"),
		Long:    "Ends a request, approved or not: nothing is signed with it any more.",
		Example: "  hsmgate approval reject alias/release 0197f0a1-5a5e-7c3e-9d41-0a6f7f0f1a2b",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			_, err := c.RejectRequest(ctx, &api.RejectRequestRequest{KeyTarget: target(args[0]), ApprovalId: args[1]})
			return err
		}),
	}
}

func newApprovalCancel(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cancel KEY ID", Short: "Take back a request, or what is left of an approval", Args: exactly("a key", "the id of a request"),
		Long:    "Takes back a request, or what is left of an approval, as who has asked for it or as an approver of its key.",
		Example: "  hsmgate approval cancel alias/release 0197f0a1-5a5e-7c3e-9d41-0a6f7f0f1a2b",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			_, err := c.CancelApproval(ctx, &api.CancelApprovalRequest{KeyTarget: target(args[0]), ApprovalId: args[1]})
			return err
		}),
	}
}

func newApprovalList(a *app) *cobra.Command {
	var status string
	c := &cobra.Command{
		Use: "list KEY", Short: "List the requests on a key, the oldest first", Args: exactly("a key"),
		Long:    "Lists requests, one a line: ID, STATUS, approvals, what it is for, expiry, REQUESTER, REASON.",
		Example: "  hsmgate approval list alias/release --status PENDING",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			all := []api.Approval{}
			for in := (api.ListApprovalsRequest{KeyTarget: target(args[0]), Status: api.ApprovalStatus(status)}); ; {
				out, err := c.ListApprovals(ctx, &in)
				if err != nil {
					return err
				}
				all = append(all, out.Approvals...)
				if in.Marker = out.NextMarker; !out.Truncated {
					break
				}
			}
			return a.print(map[string]any{"Approvals": all}, func(w io.Writer) {
				for _, r := range all {
					fmt.Fprintf(w, "%s\t%s\t%d of %d\t%s\t%s\t%s\t%s\n", r.ApprovalId, r.Status, len(r.Approvers), r.Required, askedFor(&r), day(r.ExpirationDate), r.Requester, quoted(r.Reason))
				}
			})
		}),
	}
	c.Flags().StringVar(&status, "status", "", "only those with this status, such as PENDING")
	return c
}

func newApprovalShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show KEY ID", Short: "Show what a request is for", Args: exactly("a key", "the id of a request"),
		Long:    "Shows all that an approver approves. The hash is made here of the document that is shown.",
		Example: "  hsmgate approval show alias/release 0197f0a1-5a5e-7c3e-9d41-0a6f7f0f1a2b",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			out, err := c.DescribeApproval(ctx, &api.DescribeApprovalRequest{KeyTarget: target(args[0]), ApprovalId: args[1]})
			if err != nil {
				return err
			}
			sum := sha256.Sum256([]byte(out.Document))
			hash := "sha256:" + hex.EncodeToString(sum[:])
			if hash != out.Hash {
				return fmt.Errorf("the gateway calls the hash of this request %s, and it is %s: do not approve it", out.Hash, hash)
			}
			var doc api.ApprovalDocument
			if err := json.Unmarshal([]byte(out.Document), &doc); err != nil {
				return fmt.Errorf("the request cannot be read: %w", err)
			}
			return a.print(out, func(w io.Writer) { showApproval(w, out, &doc) })
		}),
	}
}

// askedFor says in short what a request is for.
func askedFor(r *api.Approval) string {
	switch {
	case r.RuleChange:
		return "rule change"
	case r.Window:
		return "window"
	}
	return fmt.Sprintf("%d digest(s)", r.Digests)
}

// quoted is what somebody else wrote, so that it cannot hide anything on a terminal.
func quoted(text string) string {
	if text == "" {
		return "-"
	}
	return fmt.Sprintf("%q", text)
}

// showApproval writes a request for a person. What others wrote is quoted, so that it
// cannot hide anything on a terminal.
func showApproval(w io.Writer, out *api.DescribeApprovalResponse, doc *api.ApprovalDocument) {
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("id", doc.ApprovalId)
	row("hash", out.Hash)
	row("status", string(out.Status))
	row("approvals", fmt.Sprintf("%d of %d %s", len(out.Approvers), out.Required, strings.Join(out.Approvers, " ")))
	row("key", doc.KeyId)
	row("requester", doc.Requester)
	if doc.Reason != "" {
		row("reason", fmt.Sprintf("%q", doc.Reason))
	}
	row("good until", day(doc.ExpirationDate))
	switch {
	case doc.RemoveRule:
		row("changes", "the key is to have no approval rule")
	case doc.Rule != nil:
		row("changes", fmt.Sprintf("the rule is to be %d of %s", doc.Rule.Required, strings.Join(doc.Rule.Approvers, " ")))
	case doc.Window != nil:
		row("signatures", fmt.Sprintf("%d over anything, with %s, from %s to %s", doc.Window.Count, doc.SigningAlgorithm, day(doc.Window.NotBefore), day(doc.Window.NotAfter)))
	default:
		row("signatures", fmt.Sprintf("%d with %s over each of", doc.SignaturesPerDigest, doc.SigningAlgorithm))
	}
	for _, d := range doc.Digests {
		name := ""
		if d.Artifact != "" {
			name = fmt.Sprintf(" %q", d.Artifact)
		}
		fmt.Fprintf(w, "  %s%s\n", d.Digest, name)
	}
}

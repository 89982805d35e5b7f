package main

import "github.com/spf13/cobra"

func newAudit(a *app) *cobra.Command { return group("audit", "Check the audit log") }

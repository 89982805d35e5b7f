package main

import "github.com/spf13/cobra"

func newCheck() *cobra.Command { return &cobra.Command{Use: "check"} }
func newPrincipal() *cobra.Command { return &cobra.Command{Use: "principal"} }
func newCredential() *cobra.Command { return &cobra.Command{Use: "credential"} }

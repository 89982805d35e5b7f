//go:build !linux

package query

import "os"

func readParts(*os.File) {}

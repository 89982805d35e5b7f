package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

func newAuditSegments(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "segments LOG", Short: "List the files of an audit log", Args: exactly("the path of a log"),
		Long: `Lists the closed segments of an audit log and the file that is written, with the records that
each holds, its size in bytes and the times of its first and last record. It reads the ends
of the files alone; 'hsmgate audit verify' reads all of them.`,
		Example: "  hsmgate audit segments var/audit/audit.log\n  hsmgate audit segments --output json var/audit/audit.log",
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err != nil {
				return &usageError{err}
			}
			all, err := audit.Segments(args[0])
			if err != nil {
				return err
			}
			return a.print(map[string]any{"segments": all}, func(w io.Writer) { printSegments(w, all) })
		},
	}
}

func printSegments(w io.Writer, all []audit.Segment) {
	fmt.Fprintln(w, "FIRST\tLAST\tBYTES\tFROM\tTO\tFILE")
	for _, s := range all {
		last := "-"
		if s.Last > 0 {
			last = strconv.FormatUint(s.Last, 10)
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s\t%s\n", s.First, last, s.Size, moment(s.From), moment(s.To), shown(s.File))
	}
}

// moment writes a time for a person.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/auditor"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// proven is the answer of audit prove in JSON.
type proven struct {
	Proven     bool          `json:"proven"`
	Record     audit.Record  `json:"record"`
	Again      int           `json:"again,omitempty"` // later records of the same signature and file
	Checkpoint checkpointOut `json:"checkpoint"`
}

// proving is what audit prove is about.
type proving struct {
	trust
	signature, log, receipt, out string
}

func newAuditProve(a *app) *cobra.Command {
	var p proving
	c := &cobra.Command{
		Use:   "prove --signature FILE (--log LOG | --receipt RECEIPT --log-key KEY) FILE",
		Short: "Prove that a signature was made by the gateway and recorded, offline",
		Args:  exactly("the file that was signed"),
		Long: `Finds the record of a signature, proves that it is in the tree of a checkpoint that the log
has signed, and prints who signed with which key, and when.

With --log it reads the log on this machine, or a copy of it with its tree (LOG.tree), and
writes a receipt with -o. With --receipt it checks one: nothing is needed but the file, the
signature, the receipt and the log's public key, which should come from elsewhere (LOG.tree/key
holds it). The signature is raw bytes or base64.

With --witness-key the checkpoint has to be cosigned by that witness, too.

Exit code 1: it is not proven. That includes a record that is so new that no checkpoint
covers it yet.`,
		Example: "  hsmgate audit prove --log var/audit/audit.log --signature app.sig -o app.receipt app.tar.gz\n" +
			"  hsmgate audit prove --receipt app.receipt --log-key log.key --signature app.sig app.tar.gz",
		RunE: func(_ *cobra.Command, args []string) error { return p.run(a, args[0]) },
	}
	c.Flags().StringVar(&p.signature, "signature", "", "file with the signature, raw or base64")
	c.Flags().StringVar(&p.log, "log", "", "path of the log")
	c.Flags().StringVar(&p.receipt, "receipt", "", "receipt to check")
	c.Flags().StringVarP(&p.out, "output-file", "o", "", "file for the receipt")
	p.flags(c, " (default with --log: the one beside the log)")
	p.witnessFlag(c)
	return c
}

func (p *proving) run(a *app, file string) error {
	if (p.log == "") == (p.receipt == "") {
		return usagef("exactly one of --log and --receipt is needed")
	}
	if p.receipt != "" && p.out != "" {
		return usagef("-o writes the receipt that --log makes; with --receipt there is one already")
	}
	if err := required(p.signature, "signature"); err != nil {
		return err
	}
	signature, err := readSignature(p.signature)
	if err != nil {
		return err
	}
	in, err := openInput(file)
	if err != nil {
		return err
	}
	defer in.Close()
	subject, err := auditor.NewSubject(in, signature)
	if err != nil {
		return err
	}
	answer, err := p.prove(subject)
	if err != nil {
		return a.notProven(err)
	}
	return a.print(answer, func(w io.Writer) { printProven(w, answer) })
}

// notProven tells a no from what could not be read.
func (a *app) notProven(err error) error {
	var no *noError
	if errors.As(err, &no) && a.json() {
		if err := printJSON(map[string]any{"proven": false, "reason": err.Error()}); err != nil {
			return err
		}
	}
	return err
}

func (p *proving) prove(subject *auditor.Subject) (proven, error) {
	if p.receipt != "" {
		return p.check(subject)
	}
	return p.find(subject)
}

// maxReceipt bounds a receipt, in bytes: a record and a checkpoint.
const maxReceipt = 4 << 20

// check verifies a receipt.
func (p *proving) check(subject *auditor.Subject) (proven, error) {
	by, err := p.read("")
	if err != nil {
		return proven{}, err
	}
	text, err := readInput(p.receipt, maxReceipt)
	if err != nil {
		return proven{}, err
	}
	var receipt tree.Receipt
	if err := json.Unmarshal(text, &receipt); err != nil {
		return proven{}, &noError{fmt.Errorf("%s is not a receipt, a JSON object with Record and Proof: %w", p.receipt, err)}
	}
	record, c, err := by.Verify(receipt)
	if err == nil {
		err = by.Cosigned(c)
	}
	if err == nil {
		err = subject.Check(record)
	}
	if err != nil {
		return proven{}, &noError{err}
	}
	return proven{Proven: true, Record: record, Checkpoint: outOf(c)}, nil
}

// find makes the proof from the log.
func (p *proving) find(subject *auditor.Subject) (proven, error) {
	dir := tree.DirOf(p.log)
	by, err := p.read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return proven{}, &hintedError{&usageError{err}, "the tree of the log lies in " + string(dir) + ", and its key in it: take both along with a copy"}
	}
	if err != nil {
		return proven{}, err
	}
	found, err := subject.Find(p.log)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return proven{}, &usageError{err}
	case errors.Is(err, auditor.ErrNoRecord), errors.Is(err, auditor.ErrOtherFile), errors.Is(err, audit.ErrDamaged):
		return proven{}, &noError{err}
	case err != nil:
		return proven{}, err
	}
	receipt, c, err := by.Receipt(dir, found)
	if err != nil {
		return proven{}, &noError{err}
	}
	if p.out != "" {
		text, err := json.MarshalIndent(receipt, "", "  ")
		if err != nil {
			return proven{}, err
		}
		if err := writeBytes(p.out, append(text, '\n')); err != nil {
			return proven{}, err
		}
	}
	return proven{Proven: true, Record: found.Record, Again: found.Again, Checkpoint: outOf(c)}, nil
}

func printProven(w io.Writer, p proven) {
	r := p.Record
	fmt.Fprintf(w, "proven: record %d of %s\n", r.Seq, p.Checkpoint.Origin)
	who := r.Principal
	if r.Provider != "" {
		who += " (" + r.Provider + ": " + r.Subject + ")"
	}
	fmt.Fprintf(w, "who\t%s\nwhen\t%s\n", who, r.Time.UTC().Format(time.RFC3339Nano))
	fmt.Fprintf(w, "key\t%s, version %d\nwhat\t%s over %s\n", r.KeyARN, r.KeyVersion, r.Algorithm, r.Digest)
	if r.ArtifactName != "" {
		fmt.Fprintf(w, "stated\t%s\n", strings.TrimSpace(r.ArtifactName+" "+r.ArtifactVersion))
	}
	fmt.Fprintf(w, "checkpoint\tof %d records, root %s\n", p.Checkpoint.Size, p.Checkpoint.Root)
	for _, witness := range p.Checkpoint.Cosigned {
		fmt.Fprintf(w, "cosigned\tby %s\n", witness)
	}
	if p.Again > 0 {
		fmt.Fprintf(w, "again\tmade %d more time(s), by later records\n", p.Again)
	}
}

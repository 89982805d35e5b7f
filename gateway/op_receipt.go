package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// receiptReady refuses a Sign with a receipt, before anything is signed, when none could be had.
func (s *Service) receiptReady() *api.Error {
	cause := s.treeError()
	if cause == nil && s.tree.Load().Publisher == nil {
		cause = noTree
	}
	if cause == nil {
		return nil
	}
	return &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second, Cause: cause,
		Message: "The audit log has no checkpoints now, so there would be no receipt, and nothing was signed. An operator has to look at the log of the gateway; or sign without Receipt."}
}

// withReceipt adds the receipt of a signature that was made and recorded. Without it the signature is not given out: the
// caller has asked for both.
func (s *Service) withReceipt(ctx context.Context, c *Call, out any) *api.Error {
	in, asked := c.in.(*api.SignRequest)
	signed, ok := out.(*api.SignResponse)
	if !ok || !asked || !in.Receipt {
		return nil
	}
	r, err := s.receiptOf(ctx, c.Receipt.Seq)
	if err != nil {
		s.log.Error("a signature has no receipt", logKey(c.record.KeyID, err)...)
		return &api.Error{Code: api.ReceiptUnavailable, Cause: err, Message: fmt.Sprintf(
			"The signature was made and is record %d of the audit log, but no checkpoint covers it yet, so it is not given out. GetReceipt gives the receipt later (GET /v1/log/receipt?RecordNumber=%d); sign again for a signature.",
			c.Receipt.Seq, c.Receipt.Seq)}
	}
	signed.Receipt = r
	return nil
}

// receiptOf waits for a checkpoint that covers the record.
func (s *Service) receiptOf(ctx context.Context, seq uint64) (*api.Receipt, error) {
	t := s.tree.Load()
	if t.Publisher == nil {
		return nil, errors.Join(noTree, t.err)
	}
	wait, cancel := context.WithTimeout(ctx, s.receiptTimeout)
	defer cancel()
	r, err := t.Receipt(wait, seq)
	return &api.Receipt{Record: r.Record, Proof: r.Proof}, err
}

// authorizeReceipt lets a caller have the receipts of his own calls; those of others take the permission. A record that
// is not there answers like one of another.
func (s *Service) authorizeReceipt(c *Call, in *api.GetReceiptRequest) *api.Error {
	c.record.Resource = fmt.Sprint("record ", in.RecordNumber)
	line, err := s.recordAt(uint64(in.RecordNumber))
	if record, bad := line.Record(); err == nil && bad == nil && record.Principal != "" && record.Principal == c.Principal.ARN {
		return nil
	}
	return s.decide(c, question{action: c.op.permission, resource: "*"})
}

// recordAt reads a durable record.
func (s *Service) recordAt(seq uint64) (audit.Line, error) {
	if head := s.audit.Head().Seq; seq == 0 || seq > head {
		return audit.Line{}, fmt.Errorf("record %d is not in the log: the last one is %d", seq, head)
	}
	r, err := audit.OpenReader(s.treeConfig.Path, seq)
	if err != nil {
		return audit.Line{}, err
	}
	defer r.Close()
	return r.Next()
}

// GetReceipt gives the receipt of a record.
func (s *Service) GetReceipt(ctx context.Context, _ *Call, in *api.GetReceiptRequest) (*api.GetReceiptResponse, *api.Error) {
	if s.tree.Load().Publisher == nil {
		return nil, s.receiptMissing(noTree)
	}
	if head := s.audit.Head().Seq; uint64(in.RecordNumber) > head {
		return nil, api.Errorf(api.NotFound, "There is no record %d: the last one is %d.", in.RecordNumber, head)
	}
	if _, err := s.recordAt(uint64(in.RecordNumber)); err != nil {
		return nil, &api.Error{Code: api.NotFound, Cause: err, Message: fmt.Sprintf("Record %d cannot be read from the log: it may have been removed from it.", in.RecordNumber)}
	}
	r, err := s.receiptOf(ctx, uint64(in.RecordNumber))
	if err != nil {
		return nil, s.receiptMissing(err)
	}
	return (*api.GetReceiptResponse)(r), nil
}

func (s *Service) receiptMissing(cause error) *api.Error {
	return &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second, Cause: cause,
		Message: "There is no receipt now: no checkpoint covers the record yet, or its proof cannot be read. An operator finds the reason in the log; then try again."}
}

// ReadLog is the permission to read the records, as tlog-tiles has them. It is no operation of AWS KMS and has no AWS
// target.
var ReadLog = &Op{
	Name: "ReadLog", Method: "GET", Path: "/v1/log/tile/entries/{tile}", permission: "hsmgate:ReadLog", reads: true,
	New: func() any { return new(ReadLogRequest) },
	run: func(_ context.Context, s *Service, c *Call, in any) (any, *api.Error) {
		return s.readLog(c, in.(*ReadLogRequest).Tile)
	},
}

// ReadLogRequest names an entry bundle: tile/entries/<N>[.p/<W>].
type ReadLogRequest struct{ Tile string }

// Check finds nothing malformed: what the name means is looked at once the caller may ask.
func (*ReadLogRequest) Check(*api.Checker) {}

func (s *Service) readLog(c *Call, name string) ([]byte, *api.Error) {
	c.record.Resource = name
	t := s.tree.Load()
	if t.Publisher == nil {
		return nil, api.Errorf(api.NotFound, "There is no tree of the audit log here.")
	}
	tile, err := publishedTile(t, name)
	if err != nil {
		return nil, err
	}
	b, cause := tree.Bundle(s.treeConfig.Path, tile)
	if cause != nil {
		return nil, internal(c.RequestID, cause)
	}
	return b, nil
}

// publishedTile reads the name of a tile and looks whether the last checkpoint covers it.
func publishedTile(t *logTree, name string) (tlog.Tile, *api.Error) {
	tile, err := tree.ParseTileName(name)
	if err != nil {
		return tile, api.Errorf(api.Validation, "%.80q does not name a tile: it is tile/<level>/<number>[.p/<width>] or tile/entries/<number>[.p/<width>], as c2sp.org/tlog-tiles has it.", name)
	}
	size := t.Stats().Checkpoint.Tree.N
	if there := size >> (8 * max(tile.L, 0)); tile.L >= 8 || tile.N > there>>8 || tile.N*256+int64(tile.W) > there {
		return tile, api.Errorf(api.NotFound, "The last checkpoint, of %d records, does not cover %s.", size, name)
	}
	return tile, nil
}

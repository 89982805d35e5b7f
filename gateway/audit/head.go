package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The head file holds the number and hash of the last durable record, in two slots of one sector each, which
// are written in turn: a crash in the middle of one leaves the other. A slot is a line of text,
//
//	hsmgate-audit-head 1 SEQ:HASH CHECK
//
// CHECK being the first 16 hex digits of the SHA-256 of what stands before it, padded with spaces.
const (
	headSuffix = ".head"
	headMagic  = "hsmgate-audit-head 1 "
	slotSize   = 512
	headSize   = 2 * slotSize
)

// HeadPath gives the path of the head file of the log at path.
func HeadPath(path string) string { return path + headSuffix }

func headCheck(text string) string { return hashOf([]byte(text)).String()[:16] }

func appendSlot(b []byte, r Receipt) []byte {
	text := headMagic + r.String() + " "
	line := text + headCheck(text)
	b = append(b, line...)
	b = append(b, bytes.Repeat([]byte{' '}, slotSize-1-len(line))...)
	return append(b, '\n')
}

func parseSlot(slot []byte) (Receipt, bool) {
	line := strings.TrimRight(string(slot), " \n")
	i := strings.LastIndexByte(line, ' ') + 1
	if !strings.HasPrefix(line, headMagic) || i < len(headMagic) || headCheck(line[:i]) != line[i:] {
		return Receipt{}, false
	}
	r, err := ParseReceipt(strings.TrimSpace(line[len(headMagic):i]))
	return r, err == nil
}

// ReadHead reads the head file of the log at path. It may be called while another process appends. The error
// is fs.ErrNotExist where there is none, ErrDamaged where it holds no whole slot.
func ReadHead(path string) (Receipt, error) {
	b, err := os.ReadFile(HeadPath(path))
	if err != nil {
		return Receipt{}, err
	}
	var best Receipt
	found := false
	for i := 0; i < 2 && len(b) == headSize; i++ {
		if r, ok := parseSlot(b[i*slotSize : (i+1)*slotSize]); ok && (!found || r.Seq > best.Seq) {
			best, found = r, true
		}
	}
	if !found {
		return best, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("the head file %s cannot be read: its checksum is wrong", HeadPath(path)), Advice: headAdvice}
	}
	return best, nil
}

const headAdvice = "put the head file back from a copy; or verify the log against a head kept elsewhere and then adopt it as it is (hsmgated audit adopt)"

// replaceHead makes a new head file and puts it in place of the old one, durably.
func replaceHead(path string, r Receipt) error {
	name := HeadPath(path)
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // whoever holds the log's lock is alone here
	if err != nil {
		return err
	}
	_, err = f.Write(appendSlot(appendSlot(nil, r), r))
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // a half-made one does no harm: the next one overwrites it
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

package tree

import (
	"bytes"
	"io/fs"
	"os"

	"github.com/hsmgate/hsmgate/gateway/audit/whole"
)

// MaxHistory is how long a file of checkpoints becomes, in bytes, before it is thinned out: some 45,000 checkpoints.
const MaxHistory = 16 << 20

// Thin leaves every second line out of the older half of a file of checkpoints, and what a crash has left at its end. So
// the file stays bounded, the newest checkpoints are all there, and of the older ones the fewer the older they are. Nothing
// that can be proven is lost: each checkpoint vouches for all that the ones before it vouch for.
func Thin(path string, mode fs.FileMode) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return whole.Write(path, thinned(data), mode)
}

// thinned uses the same memory. The first line stays, and the last one.
func thinned(data []byte) []byte {
	lines := data[:bytes.LastIndexByte(data, '\n')+1]
	kept, half := lines[:0], len(lines)/2
	for at, stays := 0, true; at < len(lines); stays = !stays {
		end := at + bytes.IndexByte(lines[at:], '\n') + 1
		if stays || at >= half || end == len(lines) {
			kept = append(kept, lines[at:end]...)
		}
		at = end
	}
	return kept
}

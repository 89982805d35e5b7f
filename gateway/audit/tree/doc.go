// Package tree is the Merkle tree over the records of an audit log, and its signed checkpoints: whoever keeps one
// checkpoint can later be shown, with a few hashes, that a record is in the log, and that the log only grew since.
//
// # Format
//
// The tree is that of RFC 6962 with SHA-256. Leaf i is the line of record i+1 as it stands in the log, without its
// newline. Beside the log at PATH, the folder PATH.tree holds
//
//	tile/<L>/<N>[.p/<W>]   the hashes, as c2sp.org/tlog-tiles has them
//	checkpoint             the newest checkpoint: c2sp.org/tlog-checkpoint, a signed note
//	checkpoints            the checkpoints that were published, one JSON object a line (History), thinned out (Thin)
//	key                    the public keys that sign, as verifier keys of signed notes, one a line, the newest first
//
// A Receipt is a record with its proof: the text of c2sp.org/tlog-proof, which holds a checkpoint.
//
// # Who uses what
//
// Publisher makes all this beside an audit.Log, on Linux. Dir reads it and proves; Receipt.Verify and
// ParseCheckpoint check what it proved. Edge makes a tree from records alone, in constant memory.
package tree

// Package witness has checkpoints of the audit log's tree seen by others, so that whoever rules this machine cannot
// show another past tomorrow than he has shown today.
//
// A [Pusher] is told of each published checkpoint and hands it to every place there is: witnesses, which check that
// the tree has only grown and answer with a cosignature (c2sp.org/tlog-witness, c2sp.org/tlog-cosignature), and files
// in another place. Each place has a goroutine of its own, which always takes the newest checkpoint and tries until it
// is there. Nobody waits for it: not the publisher, and not a signature.
//
// A place that has seen a tree that is not the beginning of the present one is told from one that is out of reach:
// its error is [ErrInconsistent], and nothing there is overwritten.
package witness

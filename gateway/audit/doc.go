// Package audit is the log of who used which key: append-only, durable before anybody is answered, chained by
// hashes so that whoever changes, drops, swaps or cuts records is found out, record by record.
//
// # Use
//
// Open a Log, Append a Record for every call before its result leaves the process, and throw the result away if
// Append fails. Keep the Receipt, or Log.Head, in another place now and then. VerifyFile checks a log offline.
//
// # Format
//
// The log is a text file of lines, each one JSON object, each a Record:
//
//	{"seq":1,"prev":"0000…","time":"2026-03-04T05:06:07.123456Z","operation":"Sign",…}
//	{"seq":2,"prev":"9f86…","time":"2026-03-04T05:06:07.125Z","operation":"Sign",…}
//
// seq counts from 1 without gaps. prev is the SHA-256, in hex, of the line before without its newline; 64 zeros in
// record 1. So any line's hash pins every byte before it, and `sha256sum` is enough to check a step by hand.
// Beside the log lies its head, a file with the number and hash of the last durable record (head.go).
//
// # Segments
//
// When the file has reached a size, or its first record an age, it becomes a closed segment and a new file goes on
// with the chain. For a log at PATH:
//
//	PATH                        the file that is being written
//	PATH.head                   its head
//	PATH.d/FIRST-LAST.log       a closed segment, with the records FIRST to LAST, 20 digits each
//	PATH.d/FIRST-LAST.log.zst   the same, compressed (pack.go); `zstdcat` reads it
//	PATH.d/cut                  what retention has removed (cut.go)
//
// A Reader, Log.Follow, Segments and VerifyFile go over all of them; the file alone is not the log.
//
// # What is promised
//
//   - A record whose Append returned without an error is on the disk (fdatasync) and stays there: no crash of the
//     process and no failed write or sync of a later record loses it. Callers at the same time share one sync.
//   - A record whose Append failed is cut off again. Where that cannot be done, because the process died or its
//     caller's time was over while the disk was busy, it may stay, whole and in the chain: the log can hold
//     more than was answered, never less.
//   - No caller is held beyond its context, nor, if it has no deadline, much beyond Options.Timeout, even if the
//     disk never answers.
//   - If the file is deleted, moved, replaced, cut, added to, or its disk is full or fails, Append refuses and says
//     why and what to do; when that is mended, the log goes on by itself, without a gap. It goes on in another
//     file only if that holds the whole chain. The content of a deleted log is saved beside it at once.
//   - A log that ends before its head is not opened, nor one with a closed segment that is missing, cut or another's.
//     If one goes or changes its length while the log is written, Append refuses within Options.Check until it is back.
//   - A rotation that fails, or is cut short by a crash at any step, leaves the log in its file or in the next one,
//     with every record. So do compression, whose original goes when what was written has been read back, and
//     retention, which removes whole segments and only after the signed cut is durable.
//
// # What is not
//
//   - Whoever can write both log and head can rewrite both. Only a head or receipt kept out of their reach shows
//     it (VerifyOptions), so keep some elsewhere; every signature's receipt is one.
//   - A byte changed in the middle while the log is being written is found by Verify, not by Append.
//   - The head is synced once a second: if the machine, not only the process, goes down, it may be a second old, and
//     a cut within that second would not show.
//   - Nothing but a signed cut tells of removed records: their content is gone. Copy the segments first.
//   - A closed segment's bytes are examined by VerifyFile, and when it is compressed; beside that its length is.
//   - The log is not encrypted, and it rotates itself; do not let logrotate touch it.
//
// Logs are written on Linux only; Verify, VerifyFile and ReadHead work everywhere.
package audit

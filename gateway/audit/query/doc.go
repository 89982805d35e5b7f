// Package query answers questions about an audit log from an index that is made of the log and never trusted over it.
//
// # The index
//
// It is a folder of files, each about a block of 16384 records that follow each other. A file never changes: a block is
// indexed when it is full, and what the last, open block holds is read from the log for each question. A file is columns,
// one for each member that can be asked for: codes into a list of the texts that occur in the block (principals, keys,
// statements), or 32 bits of a hash (digests, request ids), and the time and 64 bits of the hash of each record's line.
// A question reads the columns that it is about and nothing else, 1 to 4 bytes a record each, from the first block to the last:
// that takes milliseconds for millions of records, for any combination of conditions. Blocks are asked, and what they name is read of the log,
// a few at a time and some ahead of the answer, which has its order all the same.
//
// Building reads the log once, a block at a time, and goes on where it ended. Two processes may do it at once: what they write
// is made of the log alone, so it is the same, and each file is there whole or not at all.
//
// # What is promised
//
//   - Every record of an answer was read from the log, its hash is the one that the index has for it, and it was compared with the
//     question again. So an index can add nothing to an answer.
//   - A block of the index counts only if the hash of its last record is the one that the log has there: of the newest block by
//     reading that record, of each other one by the hash that the next block has for the record before its first. So what was indexed
//     of a log that was rewritten, cut or put in another's place is made anew.
//   - Every byte that is read has a checksum: what is damaged is made anew, too.
//   - A candidate that cannot be one by what the log has there shows an index that lies: all of it is thrown away.
//   - A log that ends before its head, or has another record there, is not asked at all.
//
// # What is not
//
//   - Whoever may write the folder of the index can, with new checksums, leave records out of it. Nothing shows that but Scan, which reads the
//     whole log and no index.
//   - A question is no verification: a record that was changed where it stands is noticed when it is a candidate, or Verify is run.
package query

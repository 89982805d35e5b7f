// Package auditor checks an audit log from outside: with files, or what a running gateway serves, and the public key of
// the log, which comes from elsewhere. It trusts nothing else, and needs neither the token nor the gateway's word.
//
//   - VerifyTree makes the tree anew from the records and compares it with the tiles and with every checkpoint there is.
//   - Find and Subject.Check tie a file and its signature to a record.
//   - Consistent shows that one checkpoint's tree is the beginning of another's.
//   - Monitor follows a log, and remembers what it has seen.
package auditor

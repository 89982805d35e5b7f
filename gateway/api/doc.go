// Package api is the vocabulary of the gateway: typed requests and responses,
// enumerations, limits and errors, with the member names of AWS KMS (service
// 2014-11-01). Both faces, REST and AWS, speak it, and so does the client. The
// package imports nothing of hsmgate.
//
// A blob is a []byte and travels as base64; a nil blob is an absent member. A
// time is a [Time] and travels as seconds since 1970.
//
// A request says by its methods what it is about: KeyRef is the key, SourceRef
// the second key of ReEncrypt, Alias the alias; OptionalKey marks one whose
// KeyRef may be empty. Check finds what is malformed; rules that join members or
// need the key are the operation's.
//
// Beyond AWS KMS, answers carry KeyVersion, the number of the version of the key
// that was used, and some requests may name one. AWS clients ignore it.
package api

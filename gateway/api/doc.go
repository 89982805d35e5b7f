// Package api is the vocabulary of the gateway: typed requests and responses,
// enumerations, limits and errors, with the member names of AWS KMS (service
// 2014-11-01). Both faces, REST and AWS, speak it, and so does the client. The
// package imports nothing of hsmgate.
//
// A blob is a []byte and travels as base64; a nil blob is an absent member. A
// time is a [Time] and travels as seconds since 1970.
package api

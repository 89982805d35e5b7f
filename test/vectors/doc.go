// Package vectors tests the cryptography of a whole gateway, on a real token and
// over both faces, with answers that nobody here computed: published vectors
// (testdata, each file with its source), OpenSSL, Go's standard library and other
// libraries, in both directions. And with inputs that are bad in the ways that
// Project Wycheproof lists: each is refused with its own code and one audit record,
// and the token works on.
package vectors

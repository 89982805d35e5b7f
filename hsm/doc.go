// Package hsm drives the token: it opens a PKCS#11 module, makes keys that cannot leave it, and signs, decrypts and encrypts with them.
//
// Use Open to get a Token, Token.Generate to make a key pair, NewKey to name one that exists, then Token.Sign, Token.Decrypt or Token.Agree.
// What needs only the public key (Key.Verify, Key.Encrypt) runs in Go and never asks the token. For secret keys it is Token.GenerateSecret,
// NewSecret, then Token.EncryptGCM and Token.DecryptGCM, or Token.MAC and Token.VerifyMAC. ML-KEM has Key.Encapsulate and Token.Decapsulate. Token.Random
// gives random numbers. Token.GenerateWrapping and Token.Import take keys in that were made elsewhere.
//
// A Token heals itself. Each life of the module (C_Initialize until C_Finalize) is a generation with its own sessions and its own index of
// handles; when the token goes away and comes back, a new generation is made and every Key finds its new handle. A handle of one generation
// is never used in another, because tokens reuse the numbers: the old handle of key A may be key B.
//
// Every function that takes a context keeps its deadline even when the module hangs: a call inside the module cannot be cancelled, so the
// caller is told ErrTimeout and the session that is stuck is given up.
package hsm

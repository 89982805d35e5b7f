package api

// Wipe clears the plaintext once it was encrypted.
func (r *EncryptRequest) Wipe() { clear(r.Plaintext) }

// Wipe clears the plaintext once the answer was written.
func (r *DecryptResponse) Wipe() { clear(r.Plaintext) }

// Wipe clears the key once the answer was written.
func (r *GenerateDataKeyResponse) Wipe() { clear(r.Plaintext) }

// Wipe clears the private key once the answer was written.
func (r *GenerateDataKeyPairResponse) Wipe() { clear(r.PrivateKeyPlaintext) }

// Wipe clears the random bytes once the answer was written.
func (r *GenerateRandomResponse) Wipe() { clear(r.Plaintext) }

// Wipe clears the secret once the answer was written.
func (r *DeriveSharedSecretResponse) Wipe() { clear(r.SharedSecret) }

// Wipe clears the secret once the answer was written.
func (r *EncapsulateResponse) Wipe() { clear(r.SharedSecret) }

// Wipe clears the secret once the answer was written.
func (r *DecapsulateResponse) Wipe() { clear(r.SharedSecret) }

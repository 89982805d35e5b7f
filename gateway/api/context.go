package api

import "fmt"

// maxContext is the most bytes that the names and values of an encryption context
// have in all.
const maxContext = 8192

// context checks the pairs that a ciphertext is bound to. AWS KMS bounds them, but
// its model does not say how; they are written into the audit record.
func (c *Checker) context(member string, pairs map[string]string) {
	n := 0
	for name, value := range pairs {
		n += len(name) + len(value)
	}
	if n > maxContext {
		c.add("", member, fmt.Sprintf("Member must have at most %d bytes in all", maxContext))
	}
}

// Context returns the pairs that the ciphertext is to be bound to.
func (r *EncryptRequest) Context() map[string]string { return r.EncryptionContext }

// Context returns the pairs that the ciphertext is bound to.
func (r *DecryptRequest) Context() map[string]string { return r.EncryptionContext }

// Context returns the pairs that the new ciphertext is to be bound to.
func (r *ReEncryptRequest) Context() map[string]string { return r.DestinationEncryptionContext }

// SourceContext returns the pairs that the ciphertext is bound to.
func (r *ReEncryptRequest) SourceContext() map[string]string { return r.SourceEncryptionContext }

// Context returns the pairs that the encrypted key is to be bound to.
func (r *GenerateDataKeyRequest) Context() map[string]string { return r.EncryptionContext }

// Context returns the pairs that the encrypted key is to be bound to.
func (r *GenerateDataKeyWithoutPlaintextRequest) Context() map[string]string {
	return r.EncryptionContext
}

// Context returns the pairs that the encrypted key is to be bound to.
func (r *GenerateDataKeyPairRequest) Context() map[string]string { return r.EncryptionContext }

// Context returns the pairs that the encrypted key is to be bound to.
func (r *GenerateDataKeyPairWithoutPlaintextRequest) Context() map[string]string {
	return r.EncryptionContext
}

// Ciphertext returns what names the key where the request does not.
func (r *DecryptRequest) Ciphertext() []byte { return r.CiphertextBlob }

// Ciphertext returns what names the source key where the request does not.
func (r *ReEncryptRequest) Ciphertext() []byte { return r.CiphertextBlob }

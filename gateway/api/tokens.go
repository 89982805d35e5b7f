package api

// Tokens are the grant tokens of a request.
func (r *DescribeKeyRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *GetPublicKeyRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *SignRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *VerifyRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *EncryptRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *DecryptRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *ReEncryptRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *GenerateDataKeyRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *GenerateDataKeyWithoutPlaintextRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *GenerateDataKeyPairRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *GenerateDataKeyPairWithoutPlaintextRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *GenerateMacRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *VerifyMacRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *DeriveSharedSecretRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *EncapsulateRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *DecapsulateRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *CreateGrantRequest) Tokens() []string { return r.GrantTokens }

// Tokens are the grant tokens of a request.
func (r *RetireGrantRequest) Tokens() []string {
	if r.GrantToken == "" {
		return nil
	}
	return []string{r.GrantToken}
}

// Tokens are the grant tokens of a request.
func (r *SignBatchRequest) Tokens() []string { return r.GrantTokens }

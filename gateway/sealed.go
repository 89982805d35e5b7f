package gateway

import "github.com/hsmgate/hsmgate/gateway/api"

// sealedRequest is about a key that its ciphertext may name.
type sealedRequest interface{ Ciphertext() []byte }

// reEncryptFrom is what ReEncrypt needs of the key that decrypts.
var reEncryptFrom = &Op{Name: "ReEncrypt", States: usable, permission: "kms:ReEncryptFrom", byAlias: true}

// authorizeSource decides on the key that ReEncrypt decrypts with. It has a call
// of its own, so that whatever decrypts works on it as on any other.
func (s *Service) authorizeSource(c *Call, reference string, in any) *api.Error {
	from := &Call{RequestID: c.RequestID, Face: c.Face, Region: c.Region, Principal: c.Principal,
		SourceAddress: c.SourceAddress, UserAgent: c.UserAgent, Secure: c.Secure, op: reEncryptFrom, in: in,
		at: c.at, explained: c.explained, whole: c}
	from.record.Resource = reference
	if two, ok := in.(interface{ SourceContext() map[string]string }); ok {
		from.record.EncryptionContext = two.SourceContext()
	}
	c.source = from
	err := s.authorizeKey(from, reference, in)
	if err != nil {
		c.record.Reason = from.record.Reason
	}
	return err
}

// authorizeNamed decides on the key that a ciphertext names. A key that is not
// there and one that the caller may not use answer alike.
func (s *Service) authorizeNamed(c *Call, in sealedRequest) *api.Error {
	e, ok := parseCiphertext(in.Ciphertext())
	if !ok {
		return badCiphertext()
	}
	names := s.namesFor(c)
	ref := keyRef{region: names.Region, id: e.keyID, arn: names.keyARN(e.keyID)}
	c.record.Resource = ref.arn
	err := s.decideOn(c, ref, foreignCiphertext)
	if err != nil && err.Code == api.AccessDenied {
		return foreignCiphertext()
	}
	return err
}

// badCiphertext is the one error for every way in which a ciphertext can be bad.
func badCiphertext() *api.Error {
	return api.Errorf(api.InvalidCiphertext, "The ciphertext was not made for this key, algorithm and encryption context, or was changed.")
}

func foreignCiphertext() *api.Error {
	return api.Errorf(api.AccessDenied, "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.")
}

// recordContext names in the record what a ciphertext is bound to, and what a
// signature is stated to be for.
func (c *Call) recordContext(in any) {
	if bound, ok := in.(interface{ Context() map[string]string }); ok {
		c.record.EncryptionContext = bound.Context()
	}
	if sign, ok := in.(*api.SignRequest); ok {
		c.record.SigningContext, c.record.IdempotencyKey = sign.SigningContext, sign.IdempotencyKey
		if a := sign.Artifact; a != nil {
			c.record.ArtifactName, c.record.ArtifactVersion, c.record.ArtifactDigest = a.Name, a.Version, a.Digest
			c.record.ArtifactRepo, c.record.ArtifactCommit, c.record.ArtifactRun = a.Repository, a.Commit, a.Run
		}
		c.recordProven()
	}
}

// recordSource names in the record the key that ReEncrypt decrypts with.
func (c *Call) recordSource() {
	if c.source == nil {
		return
	}
	from := &c.source.record
	c.record.SourceKeyARN, c.record.SourceVersion, c.record.SourceContext = from.KeyARN, from.KeyVersion, from.EncryptionContext
	c.record.SourceReason = from.Reason
	if from.KeyARN == "" {
		c.record.SourceKeyARN = from.Resource
	}
}

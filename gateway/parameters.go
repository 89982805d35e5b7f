package gateway

import (
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// parameters are what conditions may ask of a call, after defaults were put in.
func (s *Service) parameters(c *Call) policy.Parameters {
	switch in := c.in.(type) {
	case *api.SignRequest:
		p := signing(c, in.SigningAlgorithm, in.MessageType)
		p.SigningContext = in.SigningContext
		if a := in.Artifact; a != nil {
			p.ArtifactName, p.ArtifactVersion, p.ArtifactDigest = a.Name, a.Version, a.Digest
			p.ArtifactRepository, p.ArtifactCommit, p.ArtifactRun = a.Repository, a.Commit, a.Run
		}
		return p
	case *api.VerifyRequest:
		return signing(c, in.SigningAlgorithm, in.MessageType)
	case *api.RequestApprovalRequest: // for a signature over digests, but of messages that are signed whole
		p := signing(c, in.SigningAlgorithm, api.Digest)
		if signsWhole(api.SigningAlgorithm(p.SigningAlgorithm)) {
			p.MessageType = string(api.Raw)
		}
		return p
	case *api.GenerateMacRequest:
		return policy.Parameters{MacAlgorithm: string(in.MacAlgorithm)}
	case *api.VerifyMacRequest:
		return policy.Parameters{MacAlgorithm: string(in.MacAlgorithm)}
	case *api.DeriveSharedSecretRequest:
		return policy.Parameters{KeyAgreementAlgorithm: string(in.KeyAgreementAlgorithm)}
	case *api.CreateGrantRequest:
		return granting(in)
	case *api.ListGrantsRequest, *api.RevokeGrantRequest:
		return policy.Parameters{GrantIsForAWSResource: policy.False}
	}
	if p, ok := s.encrypting(c); ok {
		return p
	}
	return managing(c.in)
}

func signing(c *Call, a api.SigningAlgorithm, t api.MessageType) policy.Parameters {
	if a == "" && c.key != nil {
		if all := signingAlgorithms[api.KeySpec(c.key.Spec)]; len(all) > 0 {
			a = all[0]
		}
	}
	return policy.Parameters{SigningAlgorithm: string(a), MessageType: orDefault(string(t), string(api.Raw))}
}

// encrypting are the parameters of calls that encrypt or decrypt.
func (s *Service) encrypting(c *Call) (policy.Parameters, bool) {
	with := func(a api.EncryptionAlgorithm, context map[string]string) policy.Parameters {
		return policy.Parameters{EncryptionAlgorithm: orDefault(string(a), string(api.SymmetricDefault)), EncryptionContext: context}
	}
	pair := func(context map[string]string, spec api.KeySpec) policy.Parameters {
		p := with("", context)
		p.DataKeyPairSpec = string(spec)
		return p
	}
	switch in := c.in.(type) {
	case *api.EncryptRequest:
		return with(in.EncryptionAlgorithm, in.EncryptionContext), true
	case *api.DecryptRequest:
		return with(in.EncryptionAlgorithm, in.EncryptionContext), true
	case *api.GenerateDataKeyRequest:
		return with("", in.EncryptionContext), true
	case *api.GenerateDataKeyWithoutPlaintextRequest:
		return with("", in.EncryptionContext), true
	case *api.GenerateDataKeyPairRequest:
		return pair(in.EncryptionContext, in.KeyPairSpec), true
	case *api.GenerateDataKeyPairWithoutPlaintextRequest:
		return pair(in.EncryptionContext, in.KeyPairSpec), true
	case *api.ReEncryptRequest:
		p := with(in.DestinationEncryptionAlgorithm, in.DestinationEncryptionContext)
		if c.op == reEncryptFrom {
			p = with(in.SourceEncryptionAlgorithm, in.SourceEncryptionContext)
		}
		p.ReEncryptOnSameKey = policy.FlagOf(s.sameKey(c, in))
		return p, true
	}
	return policy.Parameters{}, false
}

// sameKey says whether ReEncrypt decrypts and encrypts with one key.
func (s *Service) sameKey(c *Call, in *api.ReEncryptRequest) bool {
	names := s.namesFor(c)
	to, err := names.parse(in.DestinationKeyId)
	if err != nil {
		return false
	}
	from := keyRef{region: names.Region}
	if in.SourceKeyId != "" {
		from, err = names.parse(in.SourceKeyId)
	} else if e, ok := parseCiphertext(in.CiphertextBlob); ok {
		from.id = e.keyID
	}
	if err != nil {
		return false
	}
	source, destination := s.resolve(from), s.resolve(to)
	return source != nil && destination != nil && source.ID == destination.ID
}

// granting are the parameters of CreateGrant; the pairs are those of the constraint.
func granting(in *api.CreateGrantRequest) policy.Parameters {
	p := policy.Parameters{GranteePrincipal: in.GranteePrincipal, RetiringPrincipal: in.RetiringPrincipal, GrantIsForAWSResource: policy.False}
	for _, o := range in.Operations {
		p.GrantOperations = append(p.GrantOperations, string(o))
	}
	switch g := in.Constraints; {
	case g == nil:
	case len(g.EncryptionContextEquals) > 0:
		p.GrantConstraintType, p.EncryptionContext = "EncryptionContextEquals", g.EncryptionContextEquals
	case len(g.EncryptionContextSubset) > 0:
		p.GrantConstraintType, p.EncryptionContext = "EncryptionContextSubset", g.EncryptionContextSubset
	}
	return p
}

// managing are the parameters of calls that manage keys.
func managing(in any) (p policy.Parameters) {
	switch in := in.(type) {
	case *api.CreateKeyRequest:
		p.Tags, p.BypassPolicyLockoutSafetyCheck = tagMap(in.Tags), flagIf(in.BypassPolicyLockoutSafetyCheck)
	case *api.ReplicateKeyRequest:
		p.ReplicaRegion, p.Tags, p.BypassPolicyLockoutSafetyCheck = in.ReplicaRegion, tagMap(in.Tags), flagIf(in.BypassPolicyLockoutSafetyCheck)
	case *api.PutKeyPolicyRequest:
		p.BypassPolicyLockoutSafetyCheck = flagIf(in.BypassPolicyLockoutSafetyCheck)
	case *api.TagResourceRequest:
		p.Tags = tagMap(in.Tags)
	case *api.UntagResourceRequest:
		p.TagKeys = in.TagKeys
	case *api.UpdatePrimaryRegionRequest:
		p.PrimaryRegion = in.PrimaryRegion
	case *api.EnableKeyRotationRequest:
		p.RotationPeriodInDays = orElse(in.RotationPeriodInDays, defaultRotationDays)
	case *api.ScheduleKeyDeletionRequest:
		p.PendingWindowInDays = orElse(in.PendingWindowInDays, defaultPendingDays)
	case *api.GetParametersForImportRequest:
		p.WrappingAlgorithm, p.WrappingKeySpec = string(in.WrappingAlgorithm), string(in.WrappingKeySpec)
	case *api.ImportKeyMaterialRequest:
		p.ExpirationModel = orDefault(string(in.ExpirationModel), string(api.KeyMaterialExpires))
		if in.ValidTo != nil {
			p.ValidTo = in.ValidTo.Time
		}
	}
	return p
}

func tagMap(tags []api.Tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.TagKey] = t.TagValue
	}
	return m
}

// flagIf: a parameter that is false is as one that is not there.
func flagIf(b bool) policy.Flag {
	if b {
		return policy.True
	}
	return policy.Absent
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

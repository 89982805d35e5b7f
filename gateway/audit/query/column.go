package query

import (
	"hash/crc32"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The columns of a block, in the order of its file. Who changes them changes magic.
const (
	operation = iota
	outcome
	principal
	credential
	keyID
	keyARN
	sourceKeyARN
	resource
	statement
	sourceStatement
	sourceAddress
	artifactName
	artifactVersion
	digest
	artifactDigest
	signature
	requestID
	columnCount
)

// column is a member of a record that can be asked for. One whose values hardly repeat is hashed.
type column struct {
	name   string // of the member in the line
	of     func(*audit.Record) string
	hashed bool
}

var columns = [columnCount]column{
	operation:       {name: "operation", of: func(r *audit.Record) string { return r.Operation }},
	outcome:         {name: "outcome", of: func(r *audit.Record) string { return r.Outcome }},
	principal:       {name: "principal", of: func(r *audit.Record) string { return r.Principal }},
	credential:      {name: "credentialId", of: func(r *audit.Record) string { return r.CredentialID }},
	keyID:           {name: "keyId", of: func(r *audit.Record) string { return r.KeyID }},
	keyARN:          {name: "keyArn", of: func(r *audit.Record) string { return r.KeyARN }},
	sourceKeyARN:    {name: "sourceKeyArn", of: func(r *audit.Record) string { return r.SourceKeyARN }},
	resource:        {name: "resource", of: func(r *audit.Record) string { return r.Resource }},
	statement:       {name: "reason", of: func(r *audit.Record) string { return r.Reason }},
	sourceStatement: {name: "sourceReason", of: func(r *audit.Record) string { return r.SourceReason }},
	sourceAddress:   {name: "sourceAddress", of: func(r *audit.Record) string { return r.SourceAddress }},
	artifactName:    {name: "artifactName", of: func(r *audit.Record) string { return r.ArtifactName }},
	artifactVersion: {name: "artifactVersion", of: func(r *audit.Record) string { return r.ArtifactVersion }},
	digest:          {name: "digest", of: func(r *audit.Record) string { return r.Digest }, hashed: true},
	artifactDigest:  {name: "artifactDigest", of: func(r *audit.Record) string { return r.ArtifactDigest }, hashed: true},
	signature:       {name: "signatureHash", of: func(r *audit.Record) string { return r.SignatureHash }, hashed: true},
	requestID:       {name: "requestId", of: func(r *audit.Record) string { return r.RequestID }, hashed: true},
}

var columnNamed = func() map[string]int {
	all := map[string]int{}
	for i, c := range columns {
		all[c.name] = i
	}
	return all
}()

// maxName bounds the texts that a block keeps, some of which callers choose. A longer one is kept cut, and may
// be what is asked for whatever that is.
const maxName = 255

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf is what a hashed column has of a text. Of different texts it may be the same: the log says which one it is.
func sumOf[T string | []byte](text T) uint32 { return crc32.Checksum([]byte(text), castagnoli) }

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
	of     func(*audit.Record) string
	hashed bool
}

var columns = [columnCount]column{
	operation:       {of: func(r *audit.Record) string { return r.Operation }},
	outcome:         {of: func(r *audit.Record) string { return r.Outcome }},
	principal:       {of: func(r *audit.Record) string { return r.Principal }},
	keyID:           {of: func(r *audit.Record) string { return r.KeyID }},
	keyARN:          {of: func(r *audit.Record) string { return r.KeyARN }},
	sourceKeyARN:    {of: func(r *audit.Record) string { return r.SourceKeyARN }},
	resource:        {of: func(r *audit.Record) string { return r.Resource }},
	statement:       {of: func(r *audit.Record) string { return r.Reason }},
	sourceStatement: {of: func(r *audit.Record) string { return r.SourceReason }},
	sourceAddress:   {of: func(r *audit.Record) string { return r.SourceAddress }},
	artifactName:    {of: func(r *audit.Record) string { return r.ArtifactName }},
	artifactVersion: {of: func(r *audit.Record) string { return r.ArtifactVersion }},
	digest:          {of: func(r *audit.Record) string { return r.Digest }, hashed: true},
	artifactDigest:  {of: func(r *audit.Record) string { return r.ArtifactDigest }, hashed: true},
	signature:       {of: func(r *audit.Record) string { return r.SignatureHash }, hashed: true},
	requestID:       {of: func(r *audit.Record) string { return r.RequestID }, hashed: true},
}

// maxName bounds the texts that a block keeps, some of which callers choose. A longer one is kept cut, and may
// be what is asked for whatever that is.
const maxName = 255

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf is what a hashed column has of a text. Of different texts it may be the same: the log says which one it is.
func sumOf(text string) uint32 { return crc32.Checksum([]byte(text), castagnoli) }

package api

// Artifact is what a signature is for, as the caller states it: a package often
// is signed over other bytes than its own, so its digest need not be the one that
// is signed. Every member may be absent.
type Artifact struct {
	Name    string `json:",omitempty"` // printable, at most 256 characters
	Version string `json:",omitempty"` // printable, at most 128 characters
	Digest  string `json:",omitempty"` // sha256:, sha384: or sha512: and lower-case hex

	// Where it comes from.
	Repository string `json:",omitempty"` // printable, at most 256 characters
	Commit     string `json:",omitempty"` // 40 or 64 lower-case hex digits
	Run        string `json:",omitempty"` // of a workflow or pipeline; printable, at most 256 characters
}

func (a *Artifact) check(c *Checker) {
	if a == nil {
		return
	}
	c.may("artifact.name", a.Name, artifactNameShape)
	c.may("artifact.version", a.Version, artifactVersionShape)
	c.may("artifact.digest", a.Digest, artifactDigestShape)
	c.may("artifact.repository", a.Repository, artifactNameShape)
	c.may("artifact.commit", a.Commit, artifactCommitShape)
	c.may("artifact.run", a.Run, artifactNameShape)
}

// Letters, marks, numbers, punctuation, symbols and the space: nothing that
// changes how a record is shown.
const printable = `[\p{L}\p{M}\p{N}\p{P}\p{S} ]+`

var (
	idempotencyKeyShape  = shaped(1, 128, `[ -~]+`)
	artifactNameShape    = shaped(1, 256, printable)
	artifactVersionShape = shaped(1, 128, printable)
	artifactCommitShape  = shaped(40, 64, `[0-9a-f]{40}|[0-9a-f]{64}`)
	artifactDigestShape  = shaped(1, 135, `sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}`)
)

package format

import (
	"io"
	"os"
	"path/filepath"
)

// APT signs the Release file of a repository: Release.gpg, and InRelease, which holds it.
var APT = &Format{
	Name: "apt", Summary: "the Release file of an APT repository: Release.gpg and InRelease; apt-get", Keys: pgpKeys, Dated: true, suits: isRSAOrNIST,
	Fits:   func(name string, _ []byte) bool { return name == "release" },
	Output: ending(".gpg"), Also: inRelease, sign: OpenPGP.sign, verify: OpenPGP.verify,
}

var inRelease = &Format{
	Name: "apt", Keys: pgpKeys, Dated: true, suits: isRSAOrNIST,
	Output: func(release string) string { return filepath.Join(filepath.Dir(release), "InRelease") },
	sign:   Clearsign.sign,
	verify: func(t *Trust, in *os.File, signature io.Reader) error {
		text, err := readText(in)
		if err != nil {
			return err
		}
		return verifyClearsigned(t, signature, text)
	},
}

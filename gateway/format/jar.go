package format

import (
	"archive/zip"
	"context"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/sassoftware/relic/v8/lib/signjar"
)

const (
	jarMeta     = "META-INF/"
	jarManifest = jarMeta + "MANIFEST.MF"
	jarSigner   = "HSMGATE" // the name of the files that hold the signature
)

// JAR is a Java archive with a signature of its manifest (the JAR File Specification).
var JAR = certified(Format{
	Name: "jar", Summary: "a Java archive; jarsigner", Stamped: true,
	Fits: func(name string, head []byte) bool { return strings.HasSuffix(name, ".jar") && isZip(head) },
	sign: func(ctx context.Context, k *Key, in *os.File, out io.Writer) error {
		a, err := readZip(in, isJarText)
		if err != nil {
			return err
		}
		if a.file(jarManifest) == nil {
			return broken("the archive has no %s, which the jar tool makes", jarManifest)
		}
		if err := a.packed(false); err != nil {
			return err
		}
		r := a.stream()
		defer r.Close()
		digest, err := signjar.DigestJarStream(r, hashFor(k.Public()))
		if err != nil {
			return broken("a Java archive: %v", err)
		}
		patch, _, err := digest.Sign(ctx, k.certificate(), jarSigner, false, false, false)
		if err != nil {
			return err
		}
		return writeChanged(out, in, a.size, patch)
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error {
		a, err := readZip(in, isJarText)
		if err != nil {
			return err
		}
		if a.file(jarManifest) == nil {
			return ErrNotSigned
		}
		if err := a.packed(false); err != nil {
			return err
		}
		return a.verifyJar(t, codeSigning)
	},
})

// isJarText says that a file is read whole to sign or to verify: all right below META-INF.
func isJarText(name string) bool {
	dir, base := path.Split(strings.ToUpper(name))
	return dir == jarMeta && base != ""
}

// isJarSignature says that a file is the manifest or of a signature, which the manifest does not list.
func isJarSignature(name string) bool {
	base := path.Base(strings.ToUpper(name))
	return isJarText(name) && (base == "MANIFEST.MF" || strings.HasPrefix(base, "SIG-") ||
		slices.Contains([]string{".SF", ".RSA", ".DSA", ".EC"}, path.Ext(base)))
}

// verifyJar checks all signatures of a Java archive, of which a trusted signer made one.
func (a *archive) verifyJar(t *Trust, p purpose) error {
	if a.file(jarManifest) == nil {
		return ErrNotSigned
	}
	sigs, err := signjar.Verify(a.Reader, false)
	if err != nil {
		return checked(err)
	}
	if err := a.noSpare(); err != nil {
		return err
	}
	if err := a.allListed(); err != nil {
		return err
	}
	err = notGood("no signer is trusted")
	for _, s := range sigs {
		if !hasDigest(s.SignatureHeader, "-Manifest") {
			err = notGood("it is not over the whole manifest, or with a hash that is too weak")
			continue
		}
		if err = t.signedBy(p, &s.TimestampedSignature); err == nil {
			return nil
		}
	}
	return err
}

// noSpare refuses what has the name of a part of a signature and is none: no digest covers it.
func (a *archive) noSpare() error {
	parts := map[string]int{} // signatures by what they sign
	for _, f := range a.File {
		base := path.Base(strings.ToUpper(f.Name))
		ext := path.Ext(base)
		if !isJarSignature(f.Name) || base == "MANIFEST.MF" || ext == ".SF" {
			continue
		}
		of := jarMeta + strings.TrimSuffix(base, ext) + ".SF"
		signed := slices.ContainsFunc(a.File, func(f *zip.File) bool { return strings.ToUpper(f.Name) == of })
		if parts[of]++; !signed || parts[of] > 1 {
			return notGood("%s is not signed, and no signature of the archive", f.Name)
		}
	}
	return nil
}

// allListed says whether the manifest has a digest of every file, which the library compared.
func (a *archive) allListed() error {
	text, err := a.text(jarManifest)
	if err != nil {
		return err
	}
	manifest, err := signjar.ParseManifest(text)
	if err != nil {
		return notGood("the manifest: %v", err)
	}
	for _, f := range a.File {
		if isJarSignature(f.Name) || isFolder(f) {
			continue
		}
		listed := manifest.Files[f.Name]
		if !hasDigest(listed, "") || listed.Get("Magic") != "" {
			return notGood("%s is not signed, or with a hash that is too weak", f.Name)
		}
	}
	return nil
}

func isFolder(f *zip.File) bool { return strings.HasSuffix(f.Name, "/") && f.UncompressedSize64 == 0 }

// hasDigest says that a section of a manifest has a digest with a good hash.
func hasDigest(section http.Header, of string) bool {
	return slices.ContainsFunc([]string{"SHA-256", "SHA-384", "SHA-512"}, func(h string) bool {
		return section.Get(h+"-Digest"+of) != ""
	})
}

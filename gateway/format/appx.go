package format

import (
	"archive/zip"
	"context"
	"crypto"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/sassoftware/relic/v8/lib/authenticode"
	"github.com/sassoftware/relic/v8/lib/pkcs7"
	"github.com/sassoftware/relic/v8/lib/pkcs9"
	"github.com/sassoftware/relic/v8/lib/signappx"
	"github.com/sassoftware/relic/v8/lib/x509tools"
	"github.com/sassoftware/relic/v8/lib/zipslicer"
)

// The files of a Windows package that its signature is over one by one, by their names in it; and the signature.
const (
	appxManifest     = "AppxManifest.xml"
	appxBundle       = "AppxMetadata/AppxBundleManifest.xml"
	appxBlockMap     = "AppxBlockMap.xml"
	appxContentTypes = "[Content_Types].xml"
	appxCatalog      = "AppxMetadata/CodeIntegrity.cat"
	appxSignature    = "AppxSignature.p7x"
)

// AppX is a Windows app package with an Authenticode signature. Where it holds programs, two signatures are made: one of
// them is of the catalog of these.
var AppX = certified(Format{
	Name: "appx", Summary: "a Windows app package, AppX or MSIX; signtool, osslsigncode", Stamped: true,
	Fits: func(name string, head []byte) bool {
		return (strings.HasSuffix(name, ".appx") || strings.HasSuffix(name, ".msix")) && isZip(head)
	},
	sign: func(ctx context.Context, k *Key, in *os.File, out io.Writer) error {
		a, err := readZip(in, isAppxText)
		if err != nil {
			return err
		}
		if err := a.checkAppx(k); err != nil {
			return err
		}
		r := a.stream()
		defer r.Close()
		digest, err := signappx.DigestAppxTar(r, hashFor(k.Public()), false)
		if err != nil {
			return broken("a Windows package: %v", err)
		}
		patch, _, _, err := digest.Sign(ctx, k.certificate(), nil)
		if err != nil {
			return err
		}
		return writeChanged(out, in, a.size, patch)
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error {
		a, err := readZip(in, isAppxText)
		if err != nil {
			return err
		}
		return a.verifyAppx(t)
	},
})

func isAppxText(name string) bool {
	switch name {
	case appxManifest, appxBundle, appxBlockMap, appxContentTypes, appxCatalog, appxSignature:
		return true
	}
	return false
}

// checkAppx refuses packages that the library signs in another way than was meant, or does not get through.
func (a *archive) checkAppx(k *Key) error {
	if a.file(appxBundle) != nil {
		return broken("a bundle is not signed: sign the packages in it")
	}
	if err := a.packed(true); err != nil {
		return err
	}
	text, err := a.text(appxManifest)
	if err != nil {
		return err
	}
	var manifest struct {
		Identity struct {
			Publisher string `xml:",attr"`
		}
	}
	if err := xml.Unmarshal(text, &manifest); err != nil {
		return broken("%s: %v", appxManifest, err)
	}
	subject := x509tools.FormatPkixName(k.Certificates[0].RawSubject, x509tools.NameStyleMsOsco)
	if strings.ReplaceAll(manifest.Identity.Publisher, ", ", ",") != strings.ReplaceAll(subject, ", ", ",") {
		return broken("the publisher in %s is %q, the subject of the certificate is %q: they have to be the same", appxManifest, manifest.Identity.Publisher, subject)
	}
	for _, f := range a.File {
		if !strings.HasSuffix(f.Name, ".exe") && !strings.HasSuffix(f.Name, ".dll") {
			continue
		}
		if err := checkAppxProgram(f); err != nil {
			return broken("%s in the package: %v", f.Name, err)
		}
	}
	return nil
}

// checkAppxProgram reads a program as the library does later, where a panic would not be caught.
func checkAppxProgram(f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	err = attempt(func() error {
		_, err := authenticode.DigestPE(r, crypto.SHA256, false)
		return err
	})
	if errors.Is(err, io.EOF) {
		return errors.New("its last section is not filled up to the alignment that its header states")
	}
	return err
}

// verifyAppx checks the signature, which is over digests of parts of the package. Each has a name of four letters.
func (a *archive) verifyAppx(t *Trust) error {
	if a.file(appxSignature) == nil {
		return ErrNotSigned
	}
	text, err := a.text(appxSignature)
	if err != nil {
		return err
	}
	der, ok := strings.CutPrefix(string(text), "PKCX")
	if !ok {
		return notGood("%s does not begin as it should", appxSignature)
	}
	sig, err := pkcs7.Unmarshal([]byte(der))
	if err != nil {
		return notGood("%v", err)
	}
	made, err := sig.Content.Verify(nil, false)
	if err != nil {
		return checked(err)
	}
	stamped, err := pkcs9.VerifyOptionalTimestamp(made)
	if err != nil {
		return checked(err)
	}
	var over authenticode.SpcIndirectDataContentMsi
	if err := sig.Content.ContentInfo.Unmarshal(&over); err != nil {
		return notGood("%v", err)
	}
	h, err := x509tools.PkixDigestToHashE(over.MessageDigest.DigestAlgorithm)
	if err != nil || !longEnough(h) || !over.Data.Type.Equal(authenticode.OidSpcSipInfo) {
		return notGood("it is not one of a package, or its hash is too weak")
	}
	found, err := a.appxDigests(h)
	if err != nil {
		return err
	}
	if err := sameDigest(h, over.MessageDigest.Digest, found); err != nil {
		return err
	}
	return t.signedBy(authenticodeSigning, &stamped)
}

// appxDigests makes what the signature is over: digests of all files, of the list of them, and of some files.
func (a *archive) appxDigests(h crypto.Hash) ([]byte, error) {
	d, err := zipslicer.Read(a.in, a.size)
	if err != nil {
		return nil, broken("a ZIP file: %v", err)
	}
	last := len(d.File) - 1
	if d.File[last].Name != appxSignature {
		return nil, notGood("%s is not the last file of the package", appxSignature)
	}
	files, list := h.New(), h.New()
	if err := d.Truncate(last, files, list); err != nil {
		return nil, notGood("%v", err)
	}
	all := append(files.Sum([]byte("APPXAXPC")), list.Sum([]byte("AXCD"))...)
	for _, part := range []struct{ name, file string }{{"AXCT", appxContentTypes}, {"AXBM", appxBlockMap}, {"AXCI", appxCatalog}} {
		f := a.file(part.file)
		if f == nil && part.file == appxCatalog {
			continue // no programs in it
		}
		if f == nil {
			return nil, notGood("there is no %s", part.file)
		}
		sum, err := zipDigest(f, h)
		if err != nil {
			return nil, err
		}
		all = append(append(all, part.name...), sum...)
	}
	return all, nil
}

package format_test

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sassoftware/relic/v8/lib/authenticode"
	"github.com/sassoftware/relic/v8/lib/pkcs7"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// newKey makes a key with a certificate for code signing, which is its own issuer.
func newKey(t testing.TB) *format.Key {
	return selfSigned(t, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign, x509.ExtKeyUsageCodeSigning)
}

// issuer is an authority that issues certificates for anything.
func issuer(t testing.TB) *format.Key { return selfSigned(t, x509.KeyUsageCertSign) }

func selfSigned(t testing.TB, usage x509.KeyUsage, purposes ...x509.ExtKeyUsage) *format.Key {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Release"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: usage, ExtKeyUsage: purposes}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &format.Key{Signer: private, Certificates: []*x509.Certificate{made}}
}

// artifact is a small one of a format.
type artifact struct {
	format *format.Format
	name   string
	data   []byte
}

func artifacts(t testing.TB) []artifact {
	return []artifact{
		{format.PE, "app.exe", smallPE()},
		{format.MSI, "app.msi", testdata(t, "app.msi")},
		{format.CAB, "app.cab", testdata(t, "app.cab")},
		{format.CAT, "app.cat", smallCatalog(t)},
		{format.PS1, "app.ps1", []byte("Write-Output 1\r\n")},
		{format.AppX, "app.appx", smallZip(t, "data.txt", "what is released", "AppxManifest.xml", `<Package><Identity Publisher="CN=Release"/></Package>`, "[Content_Types].xml", "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>")},
		{format.JAR, "app.jar", smallZip(t, "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n", "data.txt", "what is released")},
		{format.APK, "app.apk", testdata(t, "app.apk")},
	}
}

func testdata(t testing.TB, name string) []byte {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// smallPE is a header of PE32+ with one section, which is not filled up to its alignment.
func smallPE() []byte {
	p := make([]byte, 512+300)
	copy(p, "MZ")
	p[60] = 64
	copy(p[64:], "PE\x00\x00")
	le := binary.LittleEndian
	le.PutUint16(p[70:], 1)   // sections
	le.PutUint16(p[84:], 240) // of the optional header
	opt := p[88:]
	le.PutUint16(opt, 0x20b)
	le.PutUint32(opt[36:], 512) // alignment
	le.PutUint32(opt[60:], 512) // of the headers
	le.PutUint32(opt[108:], 16) // directories
	section := p[88+240:]
	le.PutUint32(section[16:], 300)
	le.PutUint32(section[20:], 512)
	copy(p[512:], "what is released")
	return p
}

func smallCatalog(t testing.TB) []byte {
	list, err := authenticode.NewCatalog(crypto.SHA256).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	info, err := pkcs7.NewContentInfo(authenticode.OidCertTrustList, asn1.RawValue{FullBytes: list})
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(pkcs7.ContentInfoSignedData{ContentType: pkcs7.OidSignedData, Content: pkcs7.SignedData{Version: 1, ContentInfo: info}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// smallZip stores files, by name and text.
func smallZip(t testing.TB, files ...string) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for ; len(files) > 0; files = files[2:] {
		addFile(t, w, files[0], files[1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func addFile(t testing.TB, w *zip.Writer, name, text string) {
	size := uint64(len(text))
	f, err := w.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(text)), CompressedSize64: size, UncompressedSize64: size})
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// file opens an artifact.
func file(t testing.TB, name string, data []byte) *os.File {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	return in
}

func (a artifact) sign(t testing.TB, k *format.Key, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := a.format.Sign(t.Context(), k, file(t, a.name, data), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (a artifact) verify(t testing.TB, trust format.Trust, data []byte) error {
	return a.format.Verify(&trust, file(t, a.name, data), nil)
}

func keys(k *format.Key) format.Trust {
	return format.Trust{Keys: []crypto.PublicKey{k.Public()}}
}

func TestCertifiedSignedOnceMore(t *testing.T) {
	one, two := newKey(t), newKey(t)
	for _, a := range artifacts(t) {
		t.Run(a.format.Name, func(t *testing.T) {
			if found, err := format.Of(file(t, a.name, a.data)); err != nil || found != a.format {
				t.Errorf("found as %v, %v", found, err)
			}
			if err := a.verify(t, keys(one), a.data); !errors.Is(err, format.ErrNotSigned) {
				t.Errorf("without a signature: %v", err)
			}
			first := a.sign(t, one, a.data)
			if err := a.verify(t, keys(one), first); err != nil {
				t.Fatal(err)
			}
			second := a.sign(t, two, first)
			if err := a.verify(t, keys(two), second); err != nil {
				t.Error(err)
			}
			if err := a.verify(t, keys(one), second); !errors.Is(err, format.ErrNotGood) {
				t.Errorf("the first key's after the second's: %v", err)
			}
			if err := a.verify(t, format.Trust{Issuers: two.Certificates}, second); err != nil {
				t.Error(err)
			}
			if err := a.verify(t, format.Trust{Issuers: one.Certificates}, second); !errors.Is(err, format.ErrNotGood) {
				t.Errorf("with another issuer: %v", err)
			}
		})
	}
}

// TestCertifiedAdded: what is added to a signed artifact is not covered by its signature.
func TestCertifiedAdded(t *testing.T) {
	k := newKey(t)
	for _, a := range artifacts(t) {
		t.Run(a.format.Name, func(t *testing.T) {
			more := append(a.sign(t, k, a.data), "Write-Output 2\r\n"...)
			if err := a.verify(t, keys(k), more); err == nil {
				t.Error("it is good with text behind it")
			}
		})
	}
	for _, f := range []*format.Format{format.JAR, format.APK} {
		a := artifact{f, "app." + f.Name, smallZip(t, "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n", "data.txt", "what is released")}
		for _, name := range []string{"more.txt", "data.txt", "META-INF/hsmgate.sf"} {
			if err := a.verify(t, keys(k), withFile(t, a.sign(t, k, a.data), name)); err == nil {
				t.Errorf("%s is good with another file %s in it", f.Name, name)
			}
		}
	}
}

// withFile copies an archive with one more file.
func withFile(t testing.TB, data []byte, name string) []byte {
	old, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range old.File {
		if err := w.Copy(f); err != nil {
			t.Fatal(err)
		}
	}
	addFile(t, w, name, "more")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestAPKStaysAligned: no file of a package moves when it is signed, and again.
func TestAPKStaysAligned(t *testing.T) {
	a := artifact{format.APK, "app.apk", smallZip(t, "resources.arsc", "what", "lib/x86_64/libapp.so", "is released")}
	places := func(data []byte) (all []int64) {
		r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.File[:2] {
			at, err := f.DataOffset()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, at)
		}
		return all
	}
	before := places(a.data)
	once := a.sign(t, newKey(t), a.data)
	for _, after := range [][]int64{places(once), places(a.sign(t, newKey(t), once))} {
		if after[0] != before[0] || after[1] != before[1] {
			t.Errorf("%v became %v", before, after)
		}
	}
}

// TestAppXPublisher: the certificate is the publisher's.
func TestAppXPublisher(t *testing.T) {
	data := smallZip(t, "AppxManifest.xml", `<Package><Identity Publisher="CN=Other"/></Package>`)
	err := format.AppX.Sign(t.Context(), newKey(t), file(t, "app.appx", data), &bytes.Buffer{})
	if !errors.Is(err, format.ErrArtifact) || !strings.Contains(err.Error(), `"CN=Other"`) {
		t.Error(err)
	}
}

// TestCertifiedSignerError: what the signer says is what the caller hears.
func TestCertifiedSignerError(t *testing.T) {
	refused := errors.New("refused")
	k := newKey(t)
	k.Signer = refusing{k.Signer, refused}
	for _, a := range artifacts(t) {
		if err := a.format.Sign(t.Context(), k, file(t, a.name, a.data), &bytes.Buffer{}); !errors.Is(err, refused) {
			t.Errorf("%s: %v", a.format.Name, err)
		}
	}
}

// TestMSIAdded: what is added to a package, of whole sectors or not, is gone when it is signed.
func TestMSIAdded(t *testing.T) {
	k := newKey(t)
	a := artifact{format.MSI, "app.msi", testdata(t, "app.msi")}
	for _, size := range []int{1, 512, 4096} {
		signed := a.sign(t, k, a.data)
		more := append(signed, bytes.Repeat([]byte("x"), size)...)
		if err := a.verify(t, keys(k), more); !errors.Is(err, format.ErrNotGood) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if again := a.sign(t, k, more); len(again) != len(signed) || a.verify(t, keys(k), again) != nil {
			t.Errorf("%d bytes were signed as a package of %d, which has %d without them: %v", size, len(again), len(signed), a.verify(t, keys(k), again))
		}
	}
}

// TestJARAdded: to those who read a signed archive from its beginning it is what it is to those who begin with its list.
func TestJARAdded(t *testing.T) {
	k := newKey(t)
	a := artifact{format.JAR, "app.jar", smallZip(t, "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n", "data.txt", "what is released")}
	signed := a.sign(t, k, a.data)
	changes := map[string]func(b []byte) []byte{
		"bytes before the first file": func(b []byte) []byte { return append([]byte("PK\x03\x04"), b...) },
		"another name in front": func(b []byte) []byte {
			copy(b[bytes.Index(b, []byte("data.txt")):], "evil.txt")
			return b
		},
		"another method in front": func(b []byte) []byte { b[8] ^= 8; return b },
		"other flags in front":    func(b []byte) []byte { b[6] ^= 8; return b },
		"another size in front":   func(b []byte) []byte { b[bytes.Index(b, []byte("data.txt"))-8] ^= 1; return b },
	}
	for what, change := range changes {
		if err := a.verify(t, keys(k), change(bytes.Clone(signed))); !errors.Is(err, format.ErrArtifact) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, name := range []string{"META-INF/OTHER.RSA", "META-INF/OTHER.EC", "META-INF/OTHER.DSA", "META-INF/SIG-OTHER", "META-INF/SIG-OTHER.txt", "meta-inf/hsmgate.rsa", "META-INF/OTHER.SF"} {
		if err := a.verify(t, keys(k), withFile(t, signed, name)); !errors.Is(err, format.ErrNotGood) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

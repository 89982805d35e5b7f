package format

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sassoftware/relic/v8/lib/binpatch"
	"github.com/sassoftware/relic/v8/lib/pkcs7"
	"github.com/sassoftware/relic/v8/lib/signjar"
	"github.com/sassoftware/relic/v8/lib/zipslicer"
)

// APK is an Android package with signatures of the APK Signature Schemes v1 (which is a Java archive's) and v2. Its files
// stay aligned as they are. Two signatures are made.
var APK = certified(Format{
	Name: "apk", Summary: "an Android package; apksigner", Keys: "RSA, P-256", suits: isRSAOrP256,
	Fits: func(name string, head []byte) bool { return strings.HasSuffix(name, ".apk") && isZip(head) },
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		a, err := readZip(in, isJarText)
		if err != nil {
			return err
		}
		texts, err := a.apkTexts(k)
		if err != nil {
			return err
		}
		first, list, err := a.withTexts(texts)
		if err != nil {
			return err
		}
		block, err := apkBlock(k, first, list)
		if err != nil {
			return err
		}
		patch := binpatch.New()
		patch.Add(list, 0, block)
		patch.Add(first.size-zipEnd+zipEndList, 4, binary.LittleEndian.AppendUint32(nil, uint32(list+int64(len(block)))))
		return writeChanged(out, first, first.size, patch)
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error {
		a, err := readZip(in, isJarText)
		if err != nil {
			return err
		}
		if err := a.verifyAPK(t); err != nil {
			return err
		}
		if err := a.verifyJar(t, androidSigning); !errors.Is(err, ErrNotSigned) { // what runs on Android 7 and later alone has no v1
			return err
		}
		return nil
	},
})

// The end of a ZIP file without a comment, and where in it the place of the list of files is.
const (
	zipEnd     = 22
	zipEndList = 16
)

// zipText is a file to add to an archive.
type zipText struct {
	name string
	text []byte
}

// apkTexts makes the manifest and its signature (v1), which says that there is one of v2.
func (a *archive) apkTexts(k *Key) ([]zipText, error) {
	h := hashFor(k.Public())
	m := signjar.FilesMap{Main: http.Header{"Manifest-Version": {"1.0"}}, Files: map[string]http.Header{}}
	for _, f := range a.File {
		if isJarSignature(f.Name) || isFolder(f) {
			continue
		}
		sum, err := zipDigest(f, h)
		if err != nil {
			return nil, err
		}
		m.Order = append(m.Order, f.Name)
		m.Files[f.Name] = http.Header{"Name": {f.Name}, "SHA-256-Digest": {base64.StdEncoding.EncodeToString(sum)}}
	}
	manifest := m.Dump()
	if len(manifest) > maxZipText {
		return nil, broken("a manifest of the archive's %d files would be longer than %d bytes", len(m.Order), maxZipText)
	}
	signed, err := signjar.DigestManifest(manifest, h, false, true)
	if err != nil {
		return nil, broken("the names of the files of the package: %v", err)
	}
	b := pkcs7.NewBuilder(k.Signer, k.certificate().Chain(), h)
	if err := b.SetContentData(signed); err != nil {
		return nil, err
	}
	sig, err := b.Sign()
	if err != nil {
		return nil, err
	}
	if _, err := sig.Detach(); err != nil {
		return nil, err
	}
	der, err := sig.Marshal()
	kind := ".EC"
	if isRSA(k.Public()) {
		kind = ".RSA"
	}
	return []zipText{{jarManifest, manifest}, {jarMeta + jarSigner + ".SF", signed}, {jarMeta + jarSigner + kind, der}}, err
}

// withTexts is the package without older signatures and with these files at its end, and where its list of files is.
func (a *archive) withTexts(texts []zipText) (*view, int64, error) {
	d, end, err := a.dense()
	if err != nil {
		return nil, 0, err
	}
	made, patch := &zipslicer.Directory{}, binpatch.New()
	for _, f := range d.File {
		old := *f
		if isJarSignature(f.Name) {
			size, _ := f.GetTotalSize() // known since dense
			patch.Add(int64(f.Offset), size, nil)
			continue
		}
		if _, err := made.AddFile(f); err != nil {
			return nil, 0, err
		}
		if err := stillAligned(&old, int64(f.Offset)); err != nil {
			return nil, 0, err
		}
	}
	var more bytes.Buffer
	for _, t := range texts {
		if _, err := made.NewFile(t.name, nil, t.text, &more, time.Unix(0, 0).UTC(), true, false); err != nil {
			return nil, 0, err
		}
	}
	list := made.DirLoc
	if err := made.WriteDirectory(&more, &more, false); err != nil {
		return nil, 0, err
	}
	if last := more.Bytes()[more.Len()-zipEnd:]; int64(binary.LittleEndian.Uint32(last[zipEndList:])) != list {
		return nil, 0, broken("a package in ZIP64, which Android does not install")
	}
	patch.Add(end, a.size-end, more.Bytes())
	v, err := changed(a.in, a.size, patch)
	return v, list, err
}

// stillAligned refuses to move a file that is not compressed from where Android maps it.
func stillAligned(f *zipslicer.File, to int64) error {
	head, err := f.GetLocalHeader()
	if err != nil || f.Method != 0 {
		return err
	}
	from, steps := int64(f.Offset), []int64{4}
	if strings.HasSuffix(f.Name, ".so") {
		steps = []int64{4, 4 << 10, 16 << 10}
	}
	for _, step := range steps {
		if (from+int64(len(head)))%step == 0 && (to+int64(len(head)))%step != 0 {
			return broken("an older signature stands before %s, which would not be aligned without it: sign what zipalign has made of the package without signatures", f.Name)
		}
	}
	return nil
}

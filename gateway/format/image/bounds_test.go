package image

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/notaryproject/notation-core-go/signature/jws"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// blobTypes are what the ways call their signatures.
var blobTypes = map[string]types.MediaType{"cosign": simpleSigning, "sigstore": bundleType, "notation": jws.MediaTypeEnvelope,
	"cosign attestation": dsseEnvelope, "sigstore attestation": bundleType}

// beside puts blobs' descriptors where signatures of the image are: in one manifest under the tag, or each in one that refers.
func (r *room) beside(i *Image, w way, blobs ...v1.Descriptor) {
	r.t.Helper()
	config := static.NewLayer([]byte(`{"rootfs":{"type":"layers"}}`), types.OCIConfigJSON)
	about, err := describe(config)
	must(r.t, err)
	m := &manifest{v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: about, Layers: blobs}}
	if w.ending != "" {
		must(r.t, i.push(i.tag(w.ending), m, config))
		return
	}
	m.Subject = &i.about
	for _, d := range blobs {
		m.Layers = []v1.Descriptor{d}
		text, err := m.RawManifest()
		must(r.t, err)
		sum, _, err := v1.SHA256(bytes.NewReader(text))
		must(r.t, err)
		must(r.t, i.push(i.Digest.Context().Digest(sum.String()), m, config))
	}
}

// TestVerifyBesideUnusable: what another has put beside the image, and nobody can read, hides no good signature and hinders none, and
// is told where there is none. No URL in it is followed.
func TestVerifyBesideUnusable(t *testing.T) {
	signer := signers(t)["P-256"]
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { t.Error("asked for ", q.URL) }))
	defer elsewhere.Close()
	url := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1) + "/admin?do=x"
	for called, w := range ways {
		for says, change := range map[string]func(*v1.Descriptor){
			"more than 16777216": func(d *v1.Descriptor) { d.Size = maxBlob + 1 },
			"BLOB_UNKNOWN":       func(*v1.Descriptor) {},
			"not the -1 bytes":   func(d *v1.Descriptor) { d.Digest = sumOf("what is there"); d.Size = -1 },
			"not the 5 bytes":    func(d *v1.Descriptor) { d.Digest = sumOf("what is there"); d.Size = 5 },
			"not the 500 bytes":  func(d *v1.Descriptor) { d.Digest = sumOf("what is there"); d.Size = 500 },
			"Unknown blob":       func(d *v1.Descriptor) { d.URLs = []string{url} },
		} {
			t.Run(called+"/"+says, func(t *testing.T) {
				r := newRoom(t, true)
				k, _ := keyOf(t, signer, time.Now().Add(time.Hour))
				i := r.push("1", "one")
				must(t, remote.WriteLayer(i.Digest.Context(), static.NewLayer([]byte("what is there"), blobTypes[called])))
				bad := make([]v1.Descriptor, 8) // of which some are listed before the signature
				for n := range bad {
					bad[n] = v1.Descriptor{MediaType: blobTypes[called], Digest: sumOf(strings.Repeat("y", n+1)), Size: int64(n + 1),
						Annotations: map[string]string{signatureNote: base64.StdEncoding.EncodeToString([]byte{byte(n)})}}
					change(&bad[n])
				}
				r.beside(i, w, bad...)
				_, err := w.verify(i, trusts(signer, w))
				var told *RegistryError
				if refused(t, err, ErrUnread, says); !errors.As(err, &told) || errors.Is(err, format.ErrNotGood) || errors.Is(err, format.ErrNotSigned) {
					t.Error(err)
				}
				made, err := w.sign(i, k)
				must(t, err)
				good, err := w.verify(i, trusts(signer, w))
				if err != nil || good.Reference != made.Reference {
					t.Errorf("%+v, not %+v: %v", good, made, err)
				}
				if again, err := w.sign(i, k); err != nil || !again.Already {
					t.Errorf("%+v: %v", again, err)
				}
			})
		}
	}
}

func sumOf(text string) v1.Hash {
	sum, _, _ := v1.SHA256(strings.NewReader(text))
	return sum
}

// TestFindEndless: a registry that begins an answer and does not end it is not waited for.
func TestFindEndless(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/v2/" {
			return
		}
		w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-q.Context().Done()
	}))
	defer s.Close()
	_, err := Find(t.Context(), strings.TrimPrefix(s.URL, "http://")+"/a:1", Access{Patience: 50 * time.Millisecond})
	var told *RegistryError
	if refused(t, err, errLate, "within 50ms"); !errors.As(err, &told) {
		t.Error(err)
	}
}

// TestVerifyAll: what is beside an image is read up to a limit, however little each of it is.
func TestVerifyAll(t *testing.T) {
	r := newRoom(t, true)
	i := r.push("1", "one")
	blob := strings.Repeat("x", 1<<20)
	must(t, remote.WriteLayer(i.Digest.Context(), static.NewLayer([]byte(blob), simpleSigning)))
	one := v1.Descriptor{MediaType: simpleSigning, Digest: sumOf(blob), Size: int64(len(blob))}
	r.beside(i, ways["cosign"], slices.Repeat([]v1.Descriptor{one}, maxAll/len(blob))...)
	_, err := i.VerifyTag(trusts(signers(t)["P-256"], way{}))
	var told *RegistryError
	if refused(t, err, errMuch, "more than 268435456 bytes"); !errors.As(err, &told) {
		t.Error(err)
	}
}

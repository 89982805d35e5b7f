package format

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/binary"
	"io"
	"time"
)

// The signature of the APK Signature Scheme v2 stands between the files of a package and the list of them
// (https://source.android.com/docs/security/features/apksigning/v2).
const (
	apkMagic  = "APK Sig Block 42"
	apkV2     = 0x7109871a
	apkV3     = 0xf05368c0
	apkV31    = 0x1b93ad61
	apkChunk  = 1 << 20
	apkFooter = 8 + int64(len(apkMagic))
)

// apkHashes are those of the scheme's algorithms: RSASSA-PKCS1-v1_5 and ECDSA.
var apkHashes = map[uint32]crypto.Hash{0x0103: crypto.SHA256, 0x0104: crypto.SHA512, 0x0201: crypto.SHA256, 0x0202: crypto.SHA512}

// apkAlgorithm is that of a key that isRSAOrP256.
func apkAlgorithm(key crypto.PublicKey) uint32 {
	if isRSA(key) {
		return 0x0103
	}
	return 0x0201
}

// lengthed is parts one after the other, with the length of all before them.
func lengthed(parts ...[]byte) []byte {
	all := bytes.Join(parts, nil)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(all))), all...)
}

// numbered is a part with a number before it and the length of both before that.
func numbered(id uint32, part []byte) []byte {
	return lengthed(binary.LittleEndian.AppendUint32(nil, id), lengthed(part))
}

// apkBlock signs a package that is complete but for this block, whose list of files is at list.
func apkBlock(k *Key, p *view, list int64) ([]byte, error) {
	id := apkAlgorithm(k.Public())
	end := make([]byte, zipEnd)
	if _, err := p.ReadAt(end, p.size-zipEnd); err != nil {
		return nil, err
	}
	sum, err := apkDigest(apkHashes[id], io.NewSectionReader(p, 0, list), io.NewSectionReader(p, list, p.size-zipEnd-list), end)
	if err != nil {
		return nil, err
	}
	var certificates []byte
	for _, c := range k.certificate().Chain() {
		certificates = append(certificates, lengthed(c.Raw)...)
	}
	signed := bytes.Join([][]byte{lengthed(numbered(id, sum)), lengthed(certificates), lengthed()}, nil)
	signature, err := signDigest(k, apkHashes[id], bytes.NewReader(signed))
	if err != nil {
		return nil, err
	}
	signer := lengthed(lengthed(signed), lengthed(numbered(id, signature)), lengthed(k.Certificates[0].RawSubjectPublicKeyInfo))
	value := binary.LittleEndian.AppendUint32(nil, apkV2)
	value = append(value, lengthed(signer)...)
	size := uint64(8 + len(value) + 8 + len(apkMagic))
	block := binary.LittleEndian.AppendUint64(nil, size)
	block = binary.LittleEndian.AppendUint64(block, uint64(len(value)))
	block = append(block, value...)
	return append(binary.LittleEndian.AppendUint64(block, size), apkMagic...), nil
}

// apkDigest is over the files, the list of them and the end of the package, which says where the list would be without
// the block: each in pieces of 1 MiB.
func apkDigest(h crypto.Hash, files, list io.Reader, end []byte) ([]byte, error) {
	var sums []byte
	count := uint32(0)
	chunk := make([]byte, apkChunk)
	for _, r := range []io.Reader{files, list, bytes.NewReader(end)} {
		for {
			n, err := io.ReadFull(r, chunk)
			if n > 0 {
				d := h.New()
				d.Write(binary.LittleEndian.AppendUint32([]byte{0xa5}, uint32(n)))
				d.Write(chunk[:n])
				sums, count = d.Sum(sums), count+1
			}
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				break
			}
			if err != nil {
				return nil, err
			}
		}
	}
	d := h.New()
	d.Write(binary.LittleEndian.AppendUint32([]byte{0x5a}, count))
	d.Write(sums)
	return d.Sum(nil), nil
}

// verifyAPK checks the signature of v2.
func (a *archive) verifyAPK(t *Trust) error {
	value, start, err := a.apkValue()
	if err != nil {
		return err
	}
	signers := value.next()
	signer := signers.next()
	if len(signer) == 0 || len(signers) > 0 {
		return notGood("it is by several signers, or by none")
	}
	signed, signatures, public := signer.next(), signer.next(), signer.next()
	fields := signed
	digests, certificates := fields.next(), fields.next()
	chain, err := x509.ParseCertificates(certificates.join())
	if err != nil || len(chain) == 0 || !bytes.Equal(chain[0].RawSubjectPublicKeyInfo, public) {
		return notGood("it is not by the key of its certificate")
	}
	for len(signatures) > 0 {
		one := signatures.next()
		id := one.number()
		h, ok := apkHashes[id]
		if !ok {
			return notGood("its algorithm, %#x, is unknown", id)
		}
		sum, err := digest(h, bytes.NewReader(signed))
		if err != nil {
			return err
		}
		if err := verifyDigest(chain[0].PublicKey, h, sum, one.next()); err != nil {
			return err
		}
		if err := a.apkContent(id, start, digests); err != nil {
			return err
		}
		if len(signatures) == 0 {
			return t.certified(androidSigning, chain[0], chain[1:], time.Now())
		}
	}
	return notGood("it holds no signature")
}

// apkContent compares the package with its digest.
func (a *archive) apkContent(id uint32, start int64, digests apkParts) error {
	end := make([]byte, zipEnd)
	if _, err := a.in.ReadAt(end, a.size-zipEnd); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(end[zipEndList:], uint32(start))
	sum, err := apkDigest(apkHashes[id], io.NewSectionReader(a.in, 0, start), io.NewSectionReader(a.in, a.list, a.size-zipEnd-a.list), end)
	if err != nil {
		return err
	}
	for len(digests) > 0 {
		if one := digests.next(); one.number() == id && subtle.ConstantTimeCompare(one.next(), sum) == 1 {
			return nil
		}
	}
	return notGood("it was not made over this content")
}

// apkValue finds the signature of v2, and where its block begins.
func (a *archive) apkValue() (apkParts, int64, error) {
	foot := make([]byte, apkFooter)
	if a.list < apkFooter {
		return nil, 0, ErrNotSigned
	}
	if _, err := a.in.ReadAt(foot, a.list-apkFooter); err != nil || string(foot[8:]) != apkMagic {
		return nil, 0, ErrNotSigned
	}
	size := binary.LittleEndian.Uint64(foot)
	if size < uint64(apkFooter) || size > maxCMS || int64(size)+8 > a.list {
		return nil, 0, notGood("its block is of %d bytes", size)
	}
	start := a.list - int64(size) - 8
	block := make([]byte, size+8)
	if _, err := a.in.ReadAt(block, start); err != nil {
		return nil, 0, err
	}
	if binary.LittleEndian.Uint64(block) != size {
		return nil, 0, notGood("its block has two sizes")
	}
	value, err := apkPairs(block[8 : len(block)-int(apkFooter)])
	return value, start, err
}

// apkPairs finds the signature of v2 among what has an id in a block. It has to be the only one: where there is one of v3,
// newer Androids look at no other.
func apkPairs(pairs []byte) (value apkParts, err error) {
	for len(pairs) > 0 {
		if len(pairs) < 12 {
			return nil, notGood("its block is broken")
		}
		n, id := binary.LittleEndian.Uint64(pairs), binary.LittleEndian.Uint32(pairs[8:])
		switch {
		case n < 4 || n > uint64(len(pairs)-8):
			return nil, notGood("its block is broken")
		case id == apkV3, id == apkV31:
			return nil, notGood("the package has a signature of the APK Signature Scheme v3 too, which is not checked here")
		case id == apkV2 && value != nil:
			return nil, notGood("the package has two signatures of the APK Signature Scheme v2")
		case id == apkV2:
			value = pairs[12 : 8+n]
		}
		pairs = pairs[8+n:]
	}
	if value == nil {
		return nil, ErrNotSigned
	}
	return value, nil
}

// apkParts are parts with their lengths before them. What is missing is read as nothing.
type apkParts []byte

func (p *apkParts) number() uint32 {
	if len(*p) < 4 {
		*p = nil
		return 0
	}
	n := binary.LittleEndian.Uint32(*p)
	*p = (*p)[4:]
	return n
}

func (p *apkParts) next() apkParts {
	n := int64(p.number())
	if n > int64(len(*p)) {
		*p = nil
		return nil
	}
	part := (*p)[:n]
	*p = (*p)[n:]
	return part
}

// join is the parts without their lengths.
func (p apkParts) join() []byte {
	var all []byte
	for len(p) > 0 {
		all = append(all, p.next()...)
	}
	return all
}

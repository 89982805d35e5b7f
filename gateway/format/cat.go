package format

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/sassoftware/relic/v8/lib/authenticode"
	"github.com/sassoftware/relic/v8/lib/pkcs7"
	"github.com/sassoftware/relic/v8/lib/pkcs9"
)

// CAT is a Windows security catalog with an Authenticode signature.
var CAT = certified(Format{
	Name: "cat", Summary: "a Windows security catalog; signtool, osslsigncode", Stamped: true,
	Fits: func(name string, head []byte) bool {
		return strings.HasSuffix(name, ".cat") && len(head) > 0 && head[0] == 0x30
	},
	sign: func(ctx context.Context, k *Key, in *os.File, out io.Writer) error {
		catalog, err := readCAT(in)
		if err != nil {
			return err
		}
		b := pkcs7.NewBuilder(k.Signer, k.certificate().Chain(), hashFor(k.Public()))
		if err := b.SetContentInfo(catalog.Content.ContentInfo); err != nil {
			return broken("a catalog: %v", err)
		}
		if err := b.AddAuthenticatedAttribute(authenticode.OidSpcStatementType, authenticode.SpcSpStatementType{Type: authenticode.OidSpcIndividualPurpose}); err != nil {
			return err
		}
		if err := b.AddAuthenticatedAttribute(authenticode.OidSpcSpOpusInfo, authenticode.SpcSpOpusInfo{}); err != nil {
			return err
		}
		signed, err := b.Sign()
		if err != nil {
			return err
		}
		made, err := pkcs9.TimestampAndMarshal(ctx, signed, k.certificate().Timestamper, true)
		if err != nil {
			return err
		}
		_, err = out.Write(made.Raw)
		return err
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error {
		catalog, err := readCAT(in)
		if err != nil {
			return err
		}
		sig, err := catalog.Content.Verify(nil, false)
		if err != nil {
			return checked(err)
		}
		stamped, err := pkcs9.VerifyOptionalTimestamp(sig)
		if err != nil {
			return checked(err)
		}
		return t.signedBy(authenticodeSigning, &stamped)
	},
})

func readCAT(in *os.File) (*pkcs7.ContentInfoSignedData, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxText+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxText {
		return nil, broken("a catalog of more than %d bytes", maxText)
	}
	catalog, err := pkcs7.Unmarshal(text)
	if err != nil {
		return nil, broken("it is no catalog: %v", err)
	}
	if !catalog.Content.ContentInfo.ContentType.Equal(authenticode.OidCertTrustList) {
		return nil, broken("it is no catalog: it holds %s", catalog.Content.ContentInfo.ContentType)
	}
	if content, err := catalog.Content.ContentInfo.Bytes(); err != nil || content == nil {
		return nil, broken("the catalog holds no list")
	}
	return catalog, nil
}

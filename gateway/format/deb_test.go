package format_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// TestDebMembers: a package holds what is signed, in its order, and signatures.
func TestDebMembers(t *testing.T) {
	k := newKey(t)
	k.Created = time.Unix(1700000000, 0)
	a := artifact{format.DEB, "app.deb", smallDeb()}
	parts := []string{arMember("debian-binary", "2.0\n"), arMember("control.tar.gz", "control"), arMember("data.tar.gz", "what is released")}
	signature := strings.TrimPrefix(string(a.sign(t, k, a.data)), "!<arch>\n"+strings.Join(parts, ""))
	for _, c := range []struct {
		name  string
		parts []string
		good  bool
	}{
		{"as it was signed", slices.Concat(parts, []string{signature}), true},
		{"with another's signature", slices.Concat(parts, []string{arMember("_gpgbuilder", "x"), signature}), true},
		{"without one", parts, false},
		{"with another member", slices.Concat(parts, []string{signature, arMember("more.sh", "x")}), false},
		{"with another member that dpkg does not look at", slices.Concat(parts, []string{signature, arMember("_more", "x")}), false},
		{"with another member in front", slices.Concat([]string{arMember("_gpgbuilder", "x")}, parts, []string{signature}), false},
		{"with a table of names", slices.Concat([]string{arMember("//", "x")}, parts, []string{signature}), false},
		{"with other data", slices.Concat(parts[:2], []string{arMember("data.tar.gz", "more")}, parts[2:], []string{signature}), false},
		{"with data twice", slices.Concat(parts, []string{parts[2], signature}), false},
		{"with two signatures of its origin", slices.Concat(parts, []string{signature, signature}), false},
		{"in another order", []string{parts[0], parts[2], parts[1], signature}, false},
		{"with data of another name", []string{parts[0], parts[1], arMember("data.tarx", "what is released"), signature}, false},
		{"without data", []string{parts[0], parts[1], signature}, false},
	} {
		data := []byte("!<arch>\n" + strings.Join(c.parts, ""))
		err := a.verify(t, keys(k), data)
		if (err == nil) != c.good || err != nil && !errors.Is(err, format.ErrArtifact) && !errors.Is(err, format.ErrNotSigned) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

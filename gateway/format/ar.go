package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The archives of Debian packages (deb(5), ar(5)): a magic, then members, each with a header of 60 bytes of text.
const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

// arMember is where a member of an archive is.
type arMember struct {
	name  string
	start int64 // of its header
	body  int64
	size  int64
}

func (m arMember) end() int64 { return m.body + m.size + m.size%2 }

// readAr lists the members of an archive.
func readAr(in io.ReaderAt) ([]arMember, error) {
	magic := make([]byte, len(arMagic))
	if _, err := in.ReadAt(magic, 0); err != nil || string(magic) != arMagic {
		return nil, broken("it is no Debian package: it does not begin as an ar archive does")
	}
	var all []arMember
	for at := int64(len(arMagic)); ; {
		header := make([]byte, arHeader)
		n, err := in.ReadAt(header, at)
		if n == 0 && errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil && n < arHeader {
			return nil, broken("the package ends in the middle of a member")
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(header[48:58])), 10, 64)
		if err != nil || size < 0 || !bytes.Equal(header[58:], []byte("`\n")) {
			return nil, broken("byte %d of the package is not the beginning of a member", at)
		}
		m := arMember{name: strings.TrimSuffix(strings.TrimSpace(string(header[:16])), "/"), start: at, body: at + arHeader, size: size}
		if size > 0 {
			if _, err := in.ReadAt(header[:1], m.body+size-1); err != nil {
				return nil, broken("the package ends in the middle of its member %s", m.name)
			}
		}
		all = append(all, m)
		at = m.end()
	}
}

// writeAr writes one member.
func writeAr(out io.Writer, name string, seconds int64, body []byte) error {
	header := fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, seconds, 0, 0, "100644", len(body))
	if len(header) != arHeader {
		return fmt.Errorf("the member %s does not fit into an ar archive", name)
	}
	if len(body)%2 == 1 {
		body = append(bytes.Clone(body), '\n')
	}
	if _, err := io.WriteString(out, header); err != nil {
		return err
	}
	_, err := out.Write(body)
	return err
}

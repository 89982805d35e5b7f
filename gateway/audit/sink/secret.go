package sink

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// readPrivate reads the lines of a file that only its owner may read; empty ones are left out.
func readPrivate(path string) (lines []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o; chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	return lines, nil
}

// addHeaders adds the headers of a file. Nothing of it is told in an error but the number of the line.
func addHeaders(r *http.Request, path string) error {
	if path == "" {
		return nil
	}
	all, err := readPrivate(path)
	if err != nil {
		return err
	}
	for i, line := range all {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("%s: line %d is not a header, such as Authorization: Bearer …", path, i+1)
		}
		if http.CanonicalHeaderKey(name) == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	return nil
}

const secretPrefix = "whsec_"

// readSecrets reads the secrets of Standard Webhooks: the first is the present one, more are for the time of a change.
func readSecrets(path string) (keys [][]byte, err error) {
	all, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	for i, line := range all {
		text, ok := strings.CutPrefix(line, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(key) < 24 || len(key) > 64 {
			return nil, fmt.Errorf("%s: line %d is not %s and the base64 of 24 to 64 bytes", path, i+1, secretPrefix)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// sign is the header Webhook-Signature: for each secret, v1 and the HMAC-SHA-256 of id, timestamp and body.
func sign(keys [][]byte, id string, now time.Time, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%d.", id, now.Unix())
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// clientTLS trusts the CAs of a file, or those of the system.
func clientTLS(caFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return c, nil
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(bytes.TrimSpace(text)) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", caFile)
	}
	return c, nil
}

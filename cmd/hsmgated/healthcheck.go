package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const healthTimeout = 3 * time.Second

func newHealthcheck() *cobra.Command {
	var path, state string
	c := &cobra.Command{
		Use:     "healthcheck --config FILE | --state DIR",
		Short:   "Ask the running daemon whether it is ready, for containers and supervisors",
		Example: "  hsmgated healthcheck --state /var/lib/hsmgate",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := configOf(path, state)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
			defer cancel()
			return askReady(ctx, c)
		},
	}
	configFlags(c, &path, &state)
	return c
}

func configFlags(c *cobra.Command, path, state *string) {
	c.Flags().StringVar(path, "config", "", "configuration file (docs/configuration.md)")
	c.Flags().StringVar(state, "state", "", "state folder of quickstart, instead of --config")
}

// askReady asks /readyz and prints the answer, one line.
func askReady(ctx context.Context, c *Config) error {
	base, err := localURL(c)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: pinned(c.TLS), DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", text)
	}
	fmt.Println(text)
	return nil
}

// localURL is the address that the daemon of this configuration serves: the one
// that it wrote down itself, since quickstart may have been given another.
func localURL(c *Config) (string, error) {
	written, ok := envValue(c.FirstAdministrator.EnvFile, "HSMGATE_URL")
	if ok && !c.tls() {
		return written, nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", err
	}
	if u, err := url.Parse(written); ok && err == nil { // its host is the certificate's, which may lead elsewhere
		port = u.Port()
	}
	if port == "0" {
		return "", errors.New("the port is chosen at each start, and no env_file tells it")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if c.tls() {
		return "https://" + net.JoinHostPort(host, port), nil
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// pinned accepts exactly the certificate in the file, whatever name it is for, and
// shows it where a client's is asked for.
func pinned(files TLS) *tls.Config {
	return &tls.Config{
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			own, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
			return &own, err
		},
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // G402: VerifyConnection compares the certificate itself
		VerifyConnection: func(s tls.ConnectionState) error {
			text, err := os.ReadFile(files.CertFile)
			if err != nil {
				return err
			}
			block, _ := pem.Decode(text)
			if block == nil || len(s.PeerCertificates) == 0 || !bytes.Equal(block.Bytes, s.PeerCertificates[0].Raw) {
				return errors.New("the server's certificate is not the configured one")
			}
			return nil
		},
	}
}

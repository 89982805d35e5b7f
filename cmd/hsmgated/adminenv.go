package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// firstTokenLife is how long the first administrator's bearer token is good.
const firstTokenLife = 365 * 24 * time.Hour

// firstAdministrator makes the administrator of a new database and writes the
// credentials to the file; at later starts it keeps the URLs in it current.
//
// The file FILE.new is there from before the principal is made until its
// credentials are in FILE. A start that finds it was preceded by a crash, and
// makes principal and credentials anew.
func (d *daemon) firstAdministrator(ctx context.Context) error {
	first := d.config.FirstAdministrator
	if first.Name == "" {
		return nil
	}
	begun := first.EnvFile + ".new"
	_, err := os.Stat(begun)
	interrupted := err == nil
	if len(d.store.Principals()) > 0 && !interrupted {
		return d.refreshEnv(first.EnvFile)
	}
	if err := writePrivate(begun, nil); err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	err = d.identities.DeletePrincipal(ctx, d.identities.PrincipalARN(first.Name))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("first administrator: %w", err)
	}
	text, err := d.newAdministrator(ctx, first.Name)
	if err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	if err := writePrivate(first.EnvFile, []byte(text)); err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	d.log.Info("made the first administrator", zap.String("name", first.Name), zap.String("envFile", first.EnvFile))
	return os.Remove(begun)
}

// newAdministrator makes the principal and returns its credentials in shell
// syntax.
func (d *daemon) newAdministrator(ctx context.Context, name string) (string, error) {
	now := time.Now()
	p, err := d.identities.CreatePrincipal(ctx, name, policy.RoleAdministrator, nil, now)
	if err != nil {
		return "", err
	}
	token, err := d.identities.IssueBearer(ctx, p.ARN, firstTokenLife, now)
	if err != nil {
		return "", err
	}
	id, secret, err := d.identities.IssueAccessKey(ctx, p.ARN, 0, now)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The credentials of %s: whoever has this file may do everything. Read it with: . FILE\n", p.ARN)
	fmt.Fprintf(&b, "# The bearer token is good until %s.\n", now.Add(firstTokenLife).UTC().Format(time.DateOnly))
	b.WriteString(oldAWS)
	fmt.Fprintln(&b, "unset AWS_SESSION_TOKEN")
	for _, v := range [][2]string{
		{"HSMGATE_URL", d.url}, {"HSMGATE_TOKEN", token},
		{"AWS_ENDPOINT_URL_KMS", d.url}, {"AWS_ENDPOINT_URL_STS", d.url}, {"AWS_ACCESS_KEY_ID", id}, {"AWS_SECRET_ACCESS_KEY", secret},
		{"AWS_REGION", d.config.Region}, {"AWS_DEFAULT_REGION", d.config.Region},
	} {
		b.WriteString(exportLine(v[0], v[1]))
	}
	return b.String(), nil
}

// oldAWS stands in every file with an access key.
const oldAWS = "# aws and boto3 of before July 2023, such as Debian 12's, do not read AWS_ENDPOINT_URL_KMS: give them\n" +
	"# --endpoint-url \"$AWS_ENDPOINT_URL_KMS\" (boto3: endpoint_url=).\n"

// knownURL is the URL of the daemon of this configuration, as far as anybody but
// the daemon knows it: "" where the port is chosen at each start and written
// nowhere.
func knownURL(c *Config) string {
	if url, ok := envValue(c.FirstAdministrator.EnvFile, "HSMGATE_URL"); ok {
		return url
	}
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || port == "0" {
		return ""
	}
	url, err := clientURL(c, c.Listen)
	if err != nil { // of the certificate, which check reports
		return ""
	}
	return url
}

// exportLine needs no quoting inside: URLs, tokens, keys and region names hold no
// quotation mark.
func exportLine(name, value string) string { return "export " + name + "='" + value + "'\n" }

// refreshEnv writes the present URL into the file, if the file is there: it may
// have been put away.
func (d *daemon) refreshEnv(path string) error {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		d.log.Info("the file of the first administrator's credentials is not there", zap.String("envFile", path))
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.SplitAfter(string(old), "\n")
	for i, line := range lines {
		for _, name := range []string{"HSMGATE_URL", "AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL_STS"} {
			if strings.HasPrefix(line, "export "+name+"=") {
				lines[i] = exportLine(name, d.url)
			}
		}
	}
	if text := strings.Join(lines, ""); text != string(old) {
		return writePrivate(path, []byte(text))
	}
	return nil
}

// envValue reads one variable from a file that this program wrote.
func envValue(path, name string) (string, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "export "+name+"="); ok {
			return strings.Trim(value, "'"), true
		}
	}
	return "", false
}

// writePrivate writes a file of mode 0600 that is there whole or not at all.
func writePrivate(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

package formats

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

const (
	packages = 300
	// away is how long the daemon is gone. A client that tries four times within a second has given up by then.
	away = 3 * time.Second
	// arHeader is the length of what stands before a member of a package, in bytes.
	arHeader = 60
)

// TestFormatsThroughAKill signs 300 packages in one run of the program while the daemon is killed and started again. Each is signed once,
// by the audit log, too, and none is damaged. The key is slow enough for the kill to come in the middle of a request for many signatures.
func TestFormatsThroughAKill(t *testing.T) {
	for _, tool := range []string{"dpkg-deb", "debsig-verify", "gpg"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT RUN: %s is not installed", tool)
		}
	}
	dir := t.TempDir()
	hsmgated, err := daemon.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := daemon.New(dir, hsmgated, daemon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill() })
	s.Options.Listen = strings.TrimPrefix(p.URL, "http://") // where the client looks for it
	if err := s.Configure(); err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, dir: t.TempDir(), env: []string{"HSMGATE_URL=" + p.URL, "HSMGATE_TOKEN=" + p.Token}, key: "alias/packages"}
	b.hsmgate("key", "create", "--spec", string(api.RSA4096), "--alias", b.key)
	files := somePackages(b)
	before := map[string][]byte{}
	for _, file := range files {
		if before[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}

	cmd := exec.CommandContext(t.Context(), program, append([]string{"sign", "--key", b.key}, files...)...)
	cmd.Env = append(os.Environ(), b.env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	b.ok(err)
	b.ok(cmd.Start())
	results := make(chan int)
	go func() {
		done := 0
		for lines := bufio.NewScanner(out); lines.Scan(); done++ {
			if !strings.Contains(lines.Text(), `"Status":"signed"`) {
				t.Error(lines.Text())
			}
		}
		results <- done
	}()
	killAt := packages/10 + rand.IntN(packages/2) // the random moment, which is after many records at once, and a part of the next request
	for signedSoFar(b, s.AuditLog()) < killAt {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(rand.N(100 * time.Millisecond))
	p.Kill()
	signed := signedSoFar(b, s.AuditLog())
	t.Logf("killed after %d of %d packages", signed, packages)
	if signed == packages {
		t.Error("the kill came too late")
	}
	time.Sleep(away)
	if p, err = s.Start(); err != nil {
		t.Fatal(err)
	}
	done := <-results
	if err := cmd.Wait(); err != nil || done != packages {
		t.Errorf("the run ended with %v after %d packages", err, done)
	}

	signatures := map[string]string{} // the hash of a signature: its package
	for _, file := range files {
		signatures[signedOnce(b, file, before[file])] = file
	}
	agrees(b, s.AuditLog(), signatures)
	trustDebsig(b)                        // which signs, too: an OpenPGP certificate
	for i := 0; i < len(files); i += 10 { // the tool takes its time; the run below checks them all
		file := files[i]
		if err := b.run("debsig-verify", "--policies-dir", b.path("policies"), "--keyrings-dir", b.path("keyrings"), file); err != nil {
			t.Error(err)
		}
	}
	again := b.hsmgate(append([]string{"sign", "--key", b.key}, files...)...)
	if n := strings.Count(again, `"Status":"already signed"`); n != packages {
		t.Errorf("another run finds %d packages signed", n)
	}
}

// somePackages builds packages with different contents.
func somePackages(b *bench) (files []string) {
	debPackage(b) // for its folder
	for i := range packages {
		b.write("pkg/usr/share/app/data", fmt.Sprintln("what is released as", i))
		b.ok(b.run("dpkg-deb", "--root-owner-group", "-Znone", "--build", "pkg", "app.deb"))
		named := b.path(fmt.Sprintf("app_1.%d_all.deb", i))
		b.ok(os.Rename(b.path("app.deb"), named))
		files = append(files, named)
	}
	return files
}

// signedOnce checks that a package is what it was, with one signature at its end, and gives the hash of the signature as the key made it.
func signedOnce(b *bench, file string, before []byte) string {
	b.Helper()
	after, err := os.ReadFile(file)
	b.ok(err)
	if !bytes.HasPrefix(after, before) || len(after) < len(before)+arHeader || !bytes.HasPrefix(after[len(before):], []byte("_gpgorigin ")) {
		b.Fatalf("%s is damaged: it is not what it was, with a signature after it", filepath.Base(file))
	}
	in := packet.NewReader(bytes.NewReader(after[len(before)+arHeader:]))
	read, err := in.Next()
	b.ok(err)
	signature := read.(*packet.Signature).RSASignature.Bytes()
	if more, err := in.Next(); err == nil {
		b.Errorf("%s has more after its signature: %T", filepath.Base(file), more)
	}
	sum := sha256.Sum256(append(make([]byte, 4096/8-len(signature)), signature...)) // which OpenPGP keeps without zeros in front
	return "sha256:" + hex.EncodeToString(sum[:])
}

// signedSoFar is how many signatures the log holds.
func signedSoFar(b *bench, log string) int {
	b.Helper()
	text, err := os.ReadFile(log)
	b.ok(err)
	return bytes.Count(text, []byte(`"operation":"Sign"`))
}

// agrees checks that the log holds one signature of each package, and no other.
func agrees(b *bench, log string, signatures map[string]string) {
	b.Helper()
	text, err := os.ReadFile(log)
	b.ok(err)
	seen := map[string]bool{} // signatures, and digests
	records := 0
	for line := range bytes.Lines(text) {
		var r audit.Record
		b.ok(json.Unmarshal(line, &r))
		if r.Operation != "Sign" || r.Outcome != string(api.Allowed) {
			continue
		}
		records++
		if signatures[r.SignatureHash] == "" || seen[r.SignatureHash] || seen[r.Digest] {
			b.Errorf("record %d is of a signature that is in no package, or of one twice: %+v", r.Seq, r)
		}
		seen[r.SignatureHash] = true
		if r.Digest != "" { // it was made up at the start for an answer that was kept when the kill came
			seen[r.Digest] = true
		}
	}
	if records != packages || len(signatures) != packages {
		b.Errorf("the log holds %d signatures, and the packages have %d", records, len(signatures))
	}
	b.hsmgate("audit", "verify", log)
}

package formats

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
)

var rsaAndP256 = []api.KeySpec{api.RSA2048, api.P256}

func init() {
	rows = append(rows,
		row{name: "apt", tools: []string{"apt-get", "apt-ftparchive", "gpg"}, specs: rsaAndP256, make: aptRepository, trust: trustOpenPGP, check: aptUpdate, damage: func(b *bench, file string) {
			flip(b, file)
			b.ok(os.Remove(filepath.Join(filepath.Dir(file), "InRelease"))) // so that Release.gpg is what counts
		}},
		row{name: "apt InRelease", tools: []string{"apt-get", "apt-ftparchive", "gpg"}, specs: rsaAndP256, make: aptRepository, trust: trustOpenPGP, check: aptUpdate, damage: func(b *bench, file string) {
			text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "InRelease"))
			b.ok(err)
			b.ok(os.WriteFile(filepath.Join(filepath.Dir(file), "InRelease"), []byte(strings.Replace(string(text), "Suite: stable", "Suite: stabld", 1)), 0o600))
			b.ok(os.Remove(file))
		}},
		row{name: "deb", tools: []string{"dpkg-deb", "debsig-verify", "gpg"}, specs: rsaAndP256, make: debPackage, trust: trustDebsig, check: func(b *bench, file string) error {
			return b.run("debsig-verify", "--policies-dir", b.path("policies"), "--keyrings-dir", b.path("keyrings"), file)
		}},
	)
}

// debPackage builds a small package.
func debPackage(b *bench) string {
	b.ok(os.MkdirAll(b.path("pkg/DEBIAN"), 0o755))
	b.ok(os.MkdirAll(b.path("pkg/usr/share/app"), 0o755))
	b.write("pkg/DEBIAN/control", "Package: app\nVersion: 1.0\nArchitecture: all\nMaintainer: Release <release@example.org>\nDescription: a test\n")
	b.write("pkg/usr/share/app/data", strings.Repeat("what is released\n", 500))
	b.ok(b.run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", "pkg", "app_1.0_all.deb"))
	return b.path("app_1.0_all.deb")
}

// aptRepository makes a repository with one package.
func aptRepository(b *bench) string {
	b.ok(os.MkdirAll(b.path("repo/dists/stable/main/binary-all"), 0o755))
	b.ok(os.Rename(debPackage(b), b.path("repo/app_1.0_all.deb")))
	b.ok(b.run("sh", "-c", "cd repo && apt-ftparchive packages . >dists/stable/main/binary-all/Packages && "+
		"apt-ftparchive -o APT::FTPArchive::Release::Suite=stable -o APT::FTPArchive::Release::Components=main -o APT::FTPArchive::Release::Architectures=all release dists/stable >Release && mv Release dists/stable/"))
	return b.path("repo/dists/stable/Release")
}

// aptUpdate has apt-get read the repository, in a root of its own.
func aptUpdate(b *bench, _ string) error {
	root := b.path("apt")
	b.ok(os.RemoveAll(root))
	for _, dir := range []string{"etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"} {
		b.ok(os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	b.ok(os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o600))
	source := fmt.Sprintf("deb [signed-by=%s] file:%s stable main\n", b.path("release.asc"), b.path("repo"))
	b.ok(os.WriteFile(filepath.Join(root, "etc/apt/sources.list"), []byte(source), 0o600))
	return b.run("apt-get", "-o", "Dir="+root, "-o", "Dir::State::status="+filepath.Join(root, "var/lib/dpkg/status"), "-o", "APT::Sandbox::User=root",
		"-o", "APT::Architecture=all", "-o", "APT::Architectures=all", "--error-on=any", "update")
}

// trustDebsig makes a policy that trusts the key.
func trustDebsig(b *bench) {
	trustOpenPGP(b)
	out, err := exec.Command("gpg", "--homedir", b.dir, "--batch", "--show-keys", "--with-colons", b.path("release.asc")).Output()
	b.ok(err)
	_, rest, _ := strings.Cut(string(out), "\nfpr:::::::::")
	fingerprint, _, _ := strings.Cut(rest, ":")
	id := fingerprint[max(len(fingerprint)-16, 0):]
	b.ok(os.MkdirAll(b.path("policies/"+id), 0o755))
	b.ok(os.MkdirAll(b.path("keyrings/"+id), 0o755))
	b.ok(b.run("cp", "release.gpg", "keyrings/"+id+"/release.gpg"))
	b.write("policies/"+id+"/release.pol", fmt.Sprintf(`<?xml version="1.0"?>
<!DOCTYPE Policy SYSTEM "https://www.debian.org/debsig/1.0/policy.dtd">
<Policy xmlns="https://www.debian.org/debsig/1.0/">
<Origin Name="Release" id="%[1]s" Description="a test"/>
<Selection><Required Type="origin" File="release.gpg" id="%[1]s"/></Selection>
<Verification MinOptional="0"><Required Type="origin" File="release.gpg" id="%[1]s"/></Verification>
</Policy>
`, id))
}

package formats

import (
	"os"
	"path/filepath"

	"github.com/hsmgate/hsmgate/gateway/api"
)

func init() {
	rows = append(rows, row{name: "rpm", tools: []string{"rpmbuild", "rpmkeys"}, specs: []api.KeySpec{api.RSA2048, api.RSA4096},
		make: rpmPackage,
		trust: func(b *bench) {
			trustOpenPGP(b)
			b.ok(b.run("rpmkeys", "--dbpath", b.path("rpmdb"), "--import", "release.asc"))
		},
		check: func(b *bench, file string) error {
			return b.run("sh", "-c", `rpmkeys --dbpath "$1" -Kv "$2" >checked && grep -q 'V4 RSA/SHA256 Signature.*: OK' checked`, "sh", b.path("rpmdb"), file)
		},
		damage: func(b *bench, file string) { // in the payload: the header of the signatures has room that is not signed
			data, err := os.ReadFile(file)
			b.ok(err)
			data[len(data)-20] ^= 1
			b.ok(os.WriteFile(file, data, 0o600))
		}})
}

// rpmPackage builds a small package.
func rpmPackage(b *bench) string {
	b.write("app.spec", `Name: app
Version: 1.0
Release: 1
Summary: a test
License: none
BuildArch: noarch
%description
a test
%install
mkdir -p %{buildroot}/usr/share/app
for i in $(seq 500); do echo what is released; done >%{buildroot}/usr/share/app/data
%files
/usr/share/app/data
`)
	b.ok(b.run("rpmbuild", "--define", "_topdir "+b.path("rpm"), "--target", "noarch", "-bb", "app.spec"))
	found, err := filepath.Glob(b.path("rpm/RPMS/noarch/*.rpm"))
	b.ok(err)
	if len(found) != 1 {
		b.Fatal(found)
	}
	return found[0]
}

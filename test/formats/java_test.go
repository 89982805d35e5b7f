package formats

import (
	"os"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
)

func init() {
	rows = append(rows,
		row{name: "jar", tools: []string{"jar", "jarsigner", "keytool"}, specs: []api.KeySpec{api.RSA2048, api.P256, api.P384}, args: withCertificate,
			make: javaArchive, trust: trustKeystore, check: jarsigner, damage: damageText},
		row{name: "apk", tools: []string{"aapt", "apksigner"}, specs: rsaAndP256, args: withCertificate,
			make: androidPackage, trust: trustCertificate, check: apksigner("18", "34"), damage: damageText},
	)
}

func trustKeystore(b *bench) {
	certify(b)
	b.ok(b.run("keytool", "-importcert", "-noprompt", "-keystore", "trust.p12", "-storepass", "changeit", "-alias", "release", "-file", "release.pem"))
}

// jarsigner ends with 0 for an archive without signatures, so that its words count.
func jarsigner(b *bench, file string) error {
	return b.run("sh", "-c", `jarsigner -verify -strict -keystore trust.p12 -storepass changeit "$1" >checked; rc=$?; cat checked; [ $rc = 0 ] && grep -qx 'jar verified.' checked`, "sh", file)
}

func javaArchive(b *bench) string {
	b.ok(os.MkdirAll(b.path("classes/org/example"), 0o755))
	b.write("classes/org/example/data.txt", strings.Repeat(marker+"\n", 500))
	b.write("classes/org/example/"+strings.Repeat("long", 20)+".txt", "the manifest breaks lines")
	b.ok(b.run("jar", "--create", "--no-compress", "--file", "app.jar", "-C", "classes", "."))
	return b.path("app.jar")
}

// androidPackage makes a package with a file that is not compressed, which Android wants to be aligned.
func androidPackage(b *bench) string {
	b.ok(os.MkdirAll(b.path("assets"), 0o755))
	b.write("AndroidManifest.xml", `<manifest package="org.example.app"><application/></manifest>`)
	b.write("assets/data.bin", strings.Repeat(marker+"\n", 100_000))
	b.ok(b.run("aapt", "package", "-f", "-0", "bin", "-M", "AndroidManifest.xml", "-A", "assets", "-F", "app.apk"))
	return b.path("app.apk")
}

// apksigner checks both signatures: v2 is what Android 7 and later look at, v1 what is before.
func apksigner(from, to string) func(*bench, string) error {
	return func(b *bench, file string) error {
		return b.run("sh", "-c", `apksigner verify -v --min-sdk-version "$2" --max-sdk-version "$3" "$1" >checked; rc=$?; cat checked; [ $rc = 0 ] && grep -q 'v1 scheme.*: true' checked && grep -q 'v2 scheme.*: true' checked`, "sh", file, from, to)
	}
}

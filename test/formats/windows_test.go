package formats

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/hsmgate/hsmgate/gateway/api"
)

var rsaP256AndP384 = []api.KeySpec{api.RSA2048, api.P256, api.P384}

func init() {
	for _, r := range []row{
		{name: "pe", make: program64},
		{name: "pe unpadded", make: unpaddedProgram},
		{name: "msi", tools: []string{"wixl"}, make: msiPackage, damage: damageText},
		{name: "cab", tools: []string{"gcab"}, make: cabinet, damage: damageText},
		{name: "cat", make: catalog, damage: damageText},
		{name: "ps1", make: script("\ufeff"), lacks: recentOsslsigncode, damage: damageText},
		{name: "ps1 ascii", make: script(""), lacks: recentOsslsigncode, damage: damageText},
		{name: "ps1 utf-16", make: scriptUTF16, lacks: recentOsslsigncode, damage: damageText},
		{name: "appx", make: appxPackage, lacks: recentOsslsigncode, damage: damageText},
	} {
		r.tools = append(r.tools, "osslsigncode")
		r.specs, r.trust, r.args, r.check = rsaP256AndP384, trustCertificate, withCertificate, osslsigncode
		rows = append(rows, r)
	}
	rows = append(rows, row{name: "efi", tools: []string{"sbverify"}, specs: rsaAndP256, trust: trustCertificate, args: withCertificate,
		make: program64, check: func(b *bench, file string) error { return b.run("sbverify", "--cert", "release.pem", file) }})
}

// recentOsslsigncode says why a row is not run: releases before 2.6 know neither scripts nor app packages.
func recentOsslsigncode() string {
	out, err := exec.Command("osslsigncode", "--version").Output()
	var major, minor int
	if _, scanned := fmt.Sscanf(string(out), "osslsigncode %d.%d", &major, &minor); err != nil || scanned != nil {
		return "osslsigncode does not tell its version"
	}
	if major < 2 || major == 2 && minor < 6 {
		return fmt.Sprintf("osslsigncode %d.%d does not read such files, 2.6 and later do", major, minor)
	}
	return ""
}

// osslsigncode accepts what the row's certificate has signed.
func osslsigncode(b *bench, file string) error {
	return b.run("osslsigncode", "verify", "-CAfile", "release.pem", "-in", file)
}

// marker is in what damageText is to find.
const marker = "what is released"

// damageText changes a byte of the first marker, as it is or in UTF-16.
func damageText(b *bench, file string) {
	data, err := os.ReadFile(file)
	b.ok(err)
	at := strings.Index(string(data), marker)
	if at < 0 {
		at = strings.Index(string(data), string(inUTF16(marker)))
	}
	if at < 0 {
		b.Fatal("the marker is not there")
	}
	data[at] ^= 1
	b.ok(os.WriteFile(file, data, 0o600))
}

func inUTF16(text string) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

// program64 builds a small program for Windows.
func program64(b *bench) string {
	b.write("app.go", "package main\n\nfunc main() { println(\"what is released\") }\n")
	build := exec.CommandContext(b.Context(), "go", "build", "-ldflags=-s -w", "-o", b.path("app.exe"), b.path("app.go"))
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return b.path("app.exe")
}

// unpaddedProgram makes the last section end, in the header and the file, before the alignment.
func unpaddedProgram(b *bench) string {
	file := program64(b)
	data, err := os.ReadFile(file)
	b.ok(err)
	pe := int(binary.LittleEndian.Uint32(data[60:]))
	table := pe + 24 + int(binary.LittleEndian.Uint16(data[pe+20:]))
	last := []byte(nil)
	for i := range int(binary.LittleEndian.Uint16(data[pe+6:])) {
		if section := data[table+40*i:]; binary.LittleEndian.Uint32(section[16:]) > 0 {
			last = section
		}
	}
	size := binary.LittleEndian.Uint32(last[16:]) - 101
	binary.LittleEndian.PutUint32(last[16:], size)
	b.ok(os.WriteFile(file, data[:binary.LittleEndian.Uint32(last[20:])+size], 0o600))
	return file
}

func msiPackage(b *bench) string {
	b.write("data.txt", strings.Repeat(marker+"\n", 500))
	b.write("app.wxs", `<?xml version="1.0"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
<Product Name="App" Id="*" UpgradeCode="12345678-1234-1234-1234-111111111111" Language="1033" Version="1.0.0" Manufacturer="what is released">
<Package InstallerVersion="200" Compressed="yes" Comments="a test"/>
<Media Id="1" Cabinet="app.cab" EmbedCab="yes"/>
<Directory Id="TARGETDIR" Name="SourceDir"><Component Id="C" Guid="12345678-1234-1234-1234-222222222222"><File Id="F" Source="data.txt"/></Component></Directory>
<Feature Id="M" Level="1"><ComponentRef Id="C"/></Feature>
</Product>
</Wix>
`)
	b.ok(b.run("wixl", "-o", "app.msi", "app.wxs"))
	return b.path("app.msi")
}

func cabinet(b *bench) string {
	b.write("data.txt", strings.Repeat(marker+"\n", 500))
	b.ok(b.run("gcab", "-cn", "app.cab", "data.txt"))
	return b.path("app.cab")
}

// catalog makes a catalog without a signature: a CMS message with a list of one digest, whose tag is its name.
func catalog(b *bench) string {
	type value struct {
		Attribute asn1.ObjectIdentifier
		Value     asn1.RawValue
	}
	type entry struct {
		Tag    []byte
		Values []value `asn1:"set"`
	}
	type algorithm struct {
		Algorithm asn1.ObjectIdentifier
		Null      asn1.RawValue
	}
	type list struct {
		Usage     []asn1.ObjectIdentifier
		ID        []byte
		Effective time.Time
		Algorithm algorithm
		Entries   []entry
	}
	type content struct {
		Type asn1.ObjectIdentifier
		List list `asn1:"explicit,tag:0"`
	}
	type signed struct {
		Version int
		Hashes  []algorithm `asn1:"set"`
		Content content
		Signers []asn1.RawValue `asn1:"set"`
	}
	type message struct {
		Type   asn1.ObjectIdentifier
		Signed signed `asn1:"explicit,tag:0"`
	}
	sha := algorithm{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, asn1.NullRawValue}
	sum := sha256.Sum256([]byte(marker))
	digest, err := asn1.Marshal(struct {
		Data struct{ Type asn1.ObjectIdentifier }
		Sum  struct {
			Algorithm algorithm
			Digest    []byte
		}
	}{struct{ Type asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 25}}, struct {
		Algorithm algorithm
		Digest    []byte
	}{sha, sum[:]}})
	b.ok(err)
	member := entry{inUTF16(marker), []value{{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: digest}}}}
	der, err := asn1.Marshal(message{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, signed{1, []algorithm{}, content{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 1}, list{
		[]asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 311, 12, 1, 1}}, []byte("0123456789abcdef"), time.Now().UTC(),
		algorithm{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 12, 1, 3}, asn1.NullRawValue}, []entry{member}}}, []asn1.RawValue{}}})
	b.ok(err)
	return b.write("app.cat", string(der))
}

func script(mark string) func(*bench) string {
	return func(b *bench) string {
		text := "Write-Output \"what is released\"\r\n"
		if mark != "" {
			text += "# für alle\r\n"
		}
		return b.write("app.ps1", mark+text)
	}
}

func scriptUTF16(b *bench) string {
	return b.write("app.psm1", "\xff\xfe"+string(inUTF16("Write-Output \"what is released\"\r\n# für alle\r\n")))
}

// appxPackage makes a package as MakeAppx does, with nothing compressed in it.
func appxPackage(b *bench) string {
	manifest := `<?xml version="1.0" encoding="utf-8"?>
<Package xmlns="http://schemas.microsoft.com/appx/manifest/foundation/windows10">
<Identity Name="Example.App" Publisher="CN=Release, O=Example" Version="1.0.0.0" ProcessorArchitecture="x64"/>
<Properties><DisplayName>App</DisplayName><PublisherDisplayName>Example</PublisherDisplayName><Logo>logo.png</Logo></Properties>
</Package>
`
	exe, err := os.ReadFile(program64(b))
	b.ok(err)
	files := []struct{ name, text string }{
		{"app.exe", string(exe)}, {"data.txt", strings.Repeat(marker+"\n", 500)}, {"AppxManifest.xml", manifest},
	}
	var blocks strings.Builder
	out, err := os.Create(b.path("app.msix"))
	b.ok(err)
	w := zip.NewWriter(out)
	put := func(name, text string) {
		size := uint64(len(text)) // said before the file, not behind it
		f, err := w.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(text)), CompressedSize64: size, UncompressedSize64: size, Modified: time.Now()})
		b.ok(err)
		_, err = f.Write([]byte(text))
		b.ok(err)
	}
	for _, f := range files {
		put(f.name, f.text)
		fmt.Fprintf(&blocks, `<File Name="%s" Size="%d" LfhSize="%d">`, f.name, len(f.text), 30+len(f.name))
		for rest := f.text; rest != ""; {
			block := rest[:min(len(rest), 64<<10)]
			rest = rest[len(block):]
			sum := sha256.Sum256([]byte(block))
			fmt.Fprintf(&blocks, `<Block Hash="%s"/>`, base64.StdEncoding.EncodeToString(sum[:]))
		}
		blocks.WriteString("</File>")
	}
	put("AppxBlockMap.xml", `<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<BlockMap xmlns="http://schemas.microsoft.com/appx/2010/blockmap" HashMethod="http://www.w3.org/2001/04/xmlenc#sha256">`+blocks.String()+`</BlockMap>`)
	put("[Content_Types].xml", `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="exe" ContentType="application/x-msdownload"/><Default Extension="txt" ContentType="text/plain"/><Default Extension="xml" ContentType="application/vnd.ms-appx.manifest+xml"/><Override PartName="/AppxBlockMap.xml" ContentType="application/vnd.ms-appx.blockmap+xml"/></Types>`)
	b.ok(w.Close())
	b.ok(out.Close())
	return b.path("app.msix")
}

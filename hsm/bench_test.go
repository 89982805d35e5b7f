package hsm_test

import (
	"crypto"
	"syscall"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// BenchmarkSign sets Token.Sign against the bare loop (one cgo call, cached handles, a session of its own) for each algorithm. 'cpu-µs/op' is user
// and system time of the process: the figure to compare, since the machine's clock rate drifts.
//
//	go test ./hsm -run '^$' -bench Sign -benchtime 2s
func BenchmarkSign(b *testing.B) {
	for _, c := range []struct {
		name string
		spec hsm.KeySpec
		m    hsm.SignMechanism
		skip bool
	}{
		{"P256_unchecked", hsm.NISTP256, hsm.SignMechanism{Scheme: hsm.ECDSA, Hash: crypto.SHA256}, true},
		{"P256", hsm.NISTP256, hsm.SignMechanism{Scheme: hsm.ECDSA, Hash: crypto.SHA256}, false},
		{"RSA2048_PKCS1", hsm.RSA2048, hsm.SignMechanism{Scheme: hsm.PKCS1v15, Hash: crypto.SHA256}, false},
		{"RSA2048_PSS", hsm.RSA2048, hsm.SignMechanism{Scheme: hsm.PSS, Hash: crypto.SHA256}, false},
		{"Ed25519", hsm.Edwards25519, hsm.SignMechanism{Scheme: hsm.Ed25519}, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg := hsmtest.NewToken(b)
			cfg.SkipECDSACheck = c.skip
			tok := hsmtest.Open(b, cfg)
			k := hsmtest.NewKey(b, tok, c.spec, hsm.UseSign)
			in := digest(crypto.SHA256, "benchmark")
			bare, err := hsm.BareLoop(tok, k, c.m, in)
			if err != nil {
				b.Fatal(err)
			}
			b.Run("bare", func(b *testing.B) {
				measure(b, func() {
					for b.Loop() {
						if err := bare(); err != nil {
							b.Fatal(err)
						}
					}
				})
			})
			sign := func() error {
				_, err := tok.Sign(ctx, k, c.m, in)
				return err
			}
			b.Run("token", func(b *testing.B) {
				b.ReportAllocs()
				measure(b, func() {
					for b.Loop() {
						if err := sign(); err != nil {
							b.Fatal(err)
						}
					}
				})
			})
			b.Run("token_parallel", func(b *testing.B) {
				b.SetParallelism(4)
				measure(b, func() {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := sign(); err != nil {
								b.Error(err)
								return
							}
						}
					})
				})
			})
		})
	}
}

// BenchmarkSecret is the same for secret keys: AES-GCM of a data key and of the 4 KiB that KMS allows, and a MAC.
//
//	go test ./hsm -run '^$' -bench Secret -benchtime 2s
func BenchmarkSecret(b *testing.B) {
	for _, c := range []struct {
		name string
		spec hsm.KeySpec
		size int
	}{{"GCM_32", hsm.Symmetric, 32}, {"GCM_4096", hsm.Symmetric, 4096}, {"HMAC256_32", hsm.HMAC256, 32}} {
		b.Run(c.name, func(b *testing.B) {
			tok := hsmtest.Open(b, hsmtest.NewToken(b))
			s, in := hsmtest.NewSecret(b, tok, c.spec), make([]byte, c.size)
			bare, err := hsm.SecretLoop(tok, s, in)
			if err != nil {
				b.Fatal(err)
			}
			seal := func() error {
				if c.spec != hsm.Symmetric {
					_, err := tok.MAC(ctx, s, in)
					return err
				}
				_, _, err := tok.EncryptGCM(ctx, s, in, nil)
				return err
			}
			runs := []struct {
				name string
				f    func() error
			}{{"bare", bare}, {"token", seal}}
			if c.spec == hsm.Symmetric {
				iv, ct, err := tok.EncryptGCM(ctx, s, in, nil)
				if err != nil {
					b.Fatal(err)
				}
				runs = append(runs, struct {
					name string
					f    func() error
				}{"token_decrypt", func() error {
					_, err := tok.DecryptGCM(ctx, s, iv, ct, nil)
					return err
				}})
			}
			for _, r := range runs {
				b.Run(r.name, func(b *testing.B) {
					b.ReportAllocs()
					measure(b, func() {
						for b.Loop() {
							if err := r.f(); err != nil {
								b.Fatal(err)
							}
						}
					})
				})
			}
		})
	}
}

func measure(b *testing.B, run func()) {
	before := cpu()
	run()
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

// cpu is the user and system time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

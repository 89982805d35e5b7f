package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
)

const (
	// maxClaims is the longest file of claims, in bytes.
	maxClaims = 64 << 10
	// lastSecond is the last one of the year 9999, in seconds since 1970. Many who read tokens know no later time.
	lastSecond = 253402300799
)

func newJWT(a *app) *cobra.Command {
	return group("jwt", "JSON Web Tokens", newJWTSign(a))
}

// claimFlags are what a token says beside a file of claims.
type claimFlags struct {
	file      string
	issuer    string
	subject   string
	audience  []string
	ttl       time.Duration
	unlimited bool
}

func newJWTSign(a *app) *cobra.Command {
	var key, algorithm string
	var claims claimFlags
	var bound contextFlag
	c := &cobra.Command{
		Use: "sign --key KEY --ttl DURATION", Short: "Sign a JSON Web Token", Args: noArgs,
		Long: `Signs a JSON Web Token (RFC 7519) and prints it. Its kid is that of the key in
'hsmgate key public-key KEY --format jwks'. RSA signs as RS256 unless --algorithm says otherwise;
an Ed25519 key signs tokens of at most 4096 bytes.

A token ends: --ttl says when, or exp in the claims; --no-expiry is for one that never does. Its
iat is now, unless the claims have one.`,
		Example: "  hsmgate jwt sign --key alias/tokens --issuer https://ci.example.org --subject build --audience https://api.example.org --ttl 5m\n" +
			"  hsmgate jwt sign --key alias/tokens --claims claims.json --ttl 1h --algorithm PS256",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(key, "key"); err != nil {
				return err
			}
			payload, err := claims.payload(time.Now())
			if err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
				signer, err := client.NewSigner(ctx, c, key)
				if err != nil {
					return err
				}
				signer.SigningContext = bound.pairs
				token, err := format.JWT(&format.Key{Signer: signer}, algorithm, payload)
				if errors.Is(err, format.ErrKey) {
					return &usageError{err}
				}
				if err != nil {
					return err
				}
				return a.print(struct {
					Token      string
					KeyId      string
					KeyVersion int
				}{token, signer.Key().KeyId, signer.Key().KeyVersion}, line(token))
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias")
	c.Flags().StringVar(&algorithm, "algorithm", "", "RS256 to RS512 or PS256 to PS512, of an RSA key (default: the key's first)")
	c.Flags().StringVar(&claims.file, "claims", "", "file with further claims, a JSON object of at most 64 KiB; '-' is standard input")
	c.Flags().StringVar(&claims.issuer, "issuer", "", "iss: who says it")
	c.Flags().StringVar(&claims.subject, "subject", "", "sub: of whom")
	c.Flags().StringArrayVar(&claims.audience, "audience", nil, "aud: for whom; may be given again")
	c.Flags().DurationVar(&claims.ttl, "ttl", 0, "how long it holds, such as 5m; exp is that from now")
	c.Flags().BoolVar(&claims.unlimited, "no-expiry", false, "a token without exp")
	c.Flags().Var(&bound, "context", "a name and a value that say what the signature is for; may be given again")
	return c
}

// payload is the claims of a token that is made now.
func (f *claimFlags) payload(now time.Time) ([]byte, error) {
	all := map[string]any{}
	if f.file != "" {
		text, err := readInput(f.file, maxClaims)
		if err != nil {
			return nil, err
		}
		var read map[string]josejson.RawMessage // which refuses a claim that is there twice
		if err := josejson.Unmarshal(text, &read); err != nil || read == nil {
			return nil, usagef("%s holds no JSON object of claims: %v", f.file, err)
		}
		for name, value := range read {
			all[name] = json.RawMessage(value)
		}
	}
	if err := f.expiry(all, now); err != nil {
		return nil, err
	}
	if all["iat"] == nil {
		all["iat"] = now.Unix()
	}
	add := func(claim string, value any, given bool) error {
		if !given {
			return nil
		}
		if all[claim] != nil {
			return usagef("%s is both in the claims and on the command line", claim)
		}
		all[claim] = value
		return nil
	}
	var audience any = f.audience
	if len(f.audience) == 1 {
		audience = f.audience[0]
	}
	if err := errors.Join(add("iss", f.issuer, f.issuer != ""), add("sub", f.subject, f.subject != ""), add("aud", audience, len(f.audience) > 0)); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// expiry has the token end, unless it is never to.
func (f *claimFlags) expiry(all map[string]any, now time.Time) error {
	given, there := all["exp"]
	ways := []bool{there, f.ttl != 0, f.unlimited}
	n := len(slices.DeleteFunc(ways, func(way bool) bool { return !way }))
	switch {
	case n == 0:
		return usagef("say when the token ends: with --ttl, exp in its claims or --no-expiry")
	case n > 1:
		return usagef("a token ends by one of --ttl, exp in its claims and --no-expiry, and %d of them are given", n)
	case there:
		var exp float64
		if err := json.Unmarshal(given.(json.RawMessage), &exp); err != nil || exp <= float64(now.Unix()) {
			return usagef("exp in the claims is %s: it is a number of seconds since 1970, and later than now, %d", given, now.Unix())
		}
		if exp > lastSecond {
			return usagef("exp in the claims is %s, after the year 9999: it is a number of seconds since 1970, at most %d; milliseconds are divided by 1000", given, lastSecond)
		}
	case f.unlimited:
	case f.ttl < time.Second:
		return usagef("--ttl is at least 1s, not %s", f.ttl)
	default:
		all["exp"] = now.Add(f.ttl).Unix()
	}
	return nil
}

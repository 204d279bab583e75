package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func TestPassword(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, _ *clock) {
		s := node(t, db)
		put(t, db, registry("ACRE2"), "first", "second")
		put(t, db, registry("other"), "first of other", "second of other")
		put(t, db, registry("unset"))
		for _, c := range []struct {
			key, user, password string
			ok                  bool
		}{
			{"acre2", "acre2", "first", true},
			{"acre2", "ACRE2", "second", true},
			{"acre2", "acre2", "", false},
			{"acre2", "acre2", "firstsecond", false},
			{"acre2", "acre2", "First", false},
			{"acre2", "other", "first", false},
			{"acre2", "", "first", false},
			{"acre2", "acre2", "first of other", false},
			{"other", "other", "first of other", true},
			{"unset", "unset", "", false},
		} {
			id, err := s.Password(t.Context(), get(t, s, c.key), c.user, c.password, "192.0.2.1")
			if c.ok != (err == nil) || !c.ok && !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("%s with %q at %s: %v", c.user, c.password, c.key, err)
			}
			if c.ok && (id.Registry != c.key || len(id.Grants) == 0) {
				t.Errorf("%s at %s: identity %+v", c.user, c.key, id)
			}
		}
	})
}

// Who guesses is slowed by account and address, and nobody else.
func TestThrottleKeys(t *testing.T) {
	t.Parallel()
	c := newClock()
	th := newThrottle(c.now)
	for i := range freePerAccount {
		user := []string{"admin", "ADMIN", "Admin"}[i%3]
		if err := th.allow("acre", user, "192.0.2.1"); err != nil {
			t.Fatalf("attempt %d: %v", i, err)
		}
		th.failed("acre", user, "192.0.2.1")
	}
	for _, a := range []struct {
		registry, user, address string
		free                    bool
	}{
		{"acre", "aDMIN", "192.0.2.1", false},
		{"acre", "admin", "192.0.2.2", true},
		{"acre", "other", "192.0.2.1", true},
		{"other", "admin", "192.0.2.1", true},
	} {
		err := th.allow(a.registry, a.user, a.address)
		if a.free != (err == nil) || !a.free && (!errors.Is(err, fault.TooMany) || fault.Of(err).After != time.Second) {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// Waits double up to a minute, pass, and never outlast a clock that is set back.
func TestThrottleWaits(t *testing.T) {
	t.Parallel()
	c := newClock()
	th := newThrottle(c.now)
	wait := func() time.Duration {
		err := th.allow("acre", "admin", "192.0.2.1")
		if err == nil {
			return 0
		}
		return fault.Of(err).After
	}
	for range freePerAccount {
		th.failed("acre", "admin", "192.0.2.1")
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		if got := wait(); got != want*time.Second {
			t.Errorf("after %d failures: %v, want %ds", freePerAccount+i, got, want)
		}
		c.advance(want * time.Second)
		if got := wait(); got > 0 {
			t.Errorf("after the wait: %v", got)
		}
		th.failed("acre", "admin", "192.0.2.1")
	}
	c.advance(-time.Hour)
	if got := wait(); got > 0 {
		t.Errorf("on a clock set back by an hour: %v", got)
	}
	th.failed("acre", "admin", "192.0.2.1")
	th.passed("acre", "ADMIN", "192.0.2.1")
	if got := wait(); got > 0 {
		t.Errorf("after success: %v", got)
	}
	for i := range freePerAddress {
		th.failed("acre", fmt.Sprintf("guess%d", i), "192.0.2.1")
	}
	if got := wait(); got > 0 {
		t.Errorf("who has logged in from an address waits %v for others' failures there", got)
	}
	if err := th.allow("acre", "somebody", "192.0.2.1"); !errors.Is(err, fault.TooMany) {
		t.Errorf("a newcomer after %d failures at the address: %v", freePerAddress, err)
	}
}

// signedWithSecret is a token under the algorithm that a public key could be misused for.
func signedWithSecret(t *testing.T, kid string) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: make([]byte, 32)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	value, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Tokens that somebody else made, or that were tampered with, are refused.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, c *clock) {
		s := node(t, db)
		put(t, db, registry("acre"), "p1", "p2")
		reg := get(t, s, "acre")
		token, err := s.Access(reg, "host", adminIdentity(reg), acr.Everything)
		if err != nil {
			t.Fatal(err)
		}
		good := claims{
			ID: "1", Subject: "acre", Issuer: issuer, Audience: "host", RegistryUID: reg.UID, GrantType: accessToken,
			NotBefore: c.now().Unix(), Expires: c.now().Add(time.Hour).Unix(), Access: acr.Everything,
		}
		sign := func(change func(*claims)) string {
			t.Helper()
			forged := good
			change(&forged)
			value, err := s.sign(forged)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
		parts := strings.Split(token.Value, ".")
		for name, value := range map[string]string{
			"nothing":               "",
			"no parts":              "abc",
			"another payload":       parts[0] + "." + strings.Split(sign(func(c *claims) { c.Subject = "root" }), ".")[1] + "." + parts[2],
			"no signature":          parts[0] + "." + parts[1] + ".",
			"signed with a secret":  signedWithSecret(t, s.keys.signer().id),
			"another issuer":        sign(func(c *claims) { c.Issuer = "somebody" }),
			"another registry":      sign(func(c *claims) { c.RegistryUID = strings.Repeat("0", 32) }),
			"expired":               sign(func(c *claims) { c.Expires = c.NotBefore }),
			"not valid yet":         sign(func(c *claims) { c.NotBefore += 10 }),
			"a refresh token":       sign(func(c *claims) { c.GrantType = refreshToken }),
			"a token of no kind":    sign(func(c *claims) { c.GrantType = "" }),
			"longer than is parsed": strings.Repeat("a", maxToken+1),
		} {
			if id, err := s.Bearer(t.Context(), reg, value); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: %+v, %v", name, id, err)
			}
		}
		for range 2 { // the second time from memory
			if _, err := s.Bearer(t.Context(), reg, token.Value); err != nil {
				t.Errorf("the genuine one: %v", err)
			}
		}
		if _, err := s.RefreshToken(t.Context(), reg, sign(func(c *claims) { c.GrantType, c.Subject = refreshToken, "former" })); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("a refresh token of somebody unknown: %v", err)
		}
	})
}

// Whatever stands in a token, clients that decode it with base64's standard alphabet can read it.
func TestTokensDecodeWithTheStandardAlphabet(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, _ *clock) {
		s := node(t, db)
		put(t, db, registry("acre"), "p1", "p2")
		reg := get(t, s, "acre")
		for _, name := range []string{"jürgen", "a?b~c>d\x7f", "???", "~~~~", "x?", "xy~", "\U0001f511", "名前"} {
			id := adminIdentity(reg)
			id.Name = name
			token, err := s.Access(reg, "host", id, nil)
			if err != nil {
				t.Fatal(err)
			}
			part := strings.Split(token.Value, ".")[1]
			if strings.ContainsAny(part, "-_") {
				t.Errorf("%q: the payload is %s", name, part)
			}
			if got, err := s.Bearer(t.Context(), reg, token.Value); err != nil || got.Name != name {
				t.Errorf("%q is read back as %q: %v", name, got.Name, err)
			}
		}
	})
}

// Nobody who did not log in gets a token.
func TestNoTokenWithoutLogin(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, _ *clock) {
		s := node(t, db)
		put(t, db, registry("acre"), "p1", "p2")
		id := Identity{Name: "acre", Registry: "acre", Grants: acr.Everything}
		if token, err := s.Access(get(t, s, "acre"), "host", id, acr.Everything); !errors.Is(err, fault.Denied) || token.Value != "" {
			t.Errorf("error %v", err)
		}
	})
}

// What the cache of registries says is two seconds old at most, also where the clock is set back.
func TestRegistriesStaleness(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, c *clock) {
		s := node(t, db)
		on, off := registry("acre"), registry("acre")
		on.AnonymousPullEnabled = true
		put(t, db, off, "p1", "p2")
		anonymous := func() bool { return get(t, s, "acre").AnonymousPullEnabled }
		if anonymous() {
			t.Fatal("on from the start")
		}
		put(t, db, on)
		c.advance(900 * time.Millisecond)
		if anonymous() {
			t.Error("the store is read for every request")
		}
		c.advance(100 * time.Millisecond)
		if !anonymous() {
			t.Error("after a second the change is not seen")
		}
		put(t, db, off)
		c.advance(-time.Hour)
		if anonymous() {
			t.Error("with the clock set back the change is not seen")
		}
		put(t, db, on)
		c.advance(24 * time.Hour)
		if !anonymous() {
			t.Error("with the clock set forward the change is not seen")
		}
		put(t, db, off, "new", "p2")
		s.opt.Registries.Forget()
		if _, err := s.Password(t.Context(), get(t, s, "acre"), "acre", "new", "192.0.2.1"); err != nil || anonymous() {
			t.Errorf("after Forget: %v, anonymous %v", err, anonymous())
		}
		if _, err := s.opt.Registries.Get(t.Context(), "nowhere"); !errors.Is(err, fault.NotFound) {
			t.Errorf("an unknown registry: %v", err)
		}
	})
}

// A verified token is remembered no longer than it lives.
func TestRememberedToken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, c *clock) {
		s := node(t, db)
		put(t, db, registry("acre"), "p1", "p2")
		reg := get(t, s, "acre")
		token, err := s.Access(reg, "host", adminIdentity(reg), acr.Everything)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			by time.Duration
			ok bool
		}{{0, true}, {defaultAccessLife - time.Second, true}, {time.Second, false}, {-time.Second, true}, {time.Hour, false}} {
			c.advance(step.by)
			if _, err := s.Bearer(t.Context(), reg, token.Value); step.ok != (err == nil) {
				t.Errorf("after %v: %v", step.by, err)
			}
		}
		if n := s.verified.Len(); n != 1 {
			t.Errorf("%d tokens are remembered", n)
		}
	})
}

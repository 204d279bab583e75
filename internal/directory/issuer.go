package directory

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
)

// How issuers' keys are kept.
const (
	keysFresh     = time.Hour        // asked for again after
	keysStale     = 24 * time.Hour   // and good for as long while the issuer does not answer
	askAgain      = 10 * time.Second // at the earliest, whatever key a token names
	maxIssuers    = 256
	maxIssuerKeys = 100
	foreignSkew   = 5 * time.Minute // by how much a foreign clock may differ
	foreignLate   = time.Minute     // for how long a token holds beyond its end
)

// foreignAlgorithms are those with which issuers sign.
var foreignAlgorithms = append(slices.Clone(assertionAlgorithms), jose.EdDSA)

// issuers verifies tokens of issuers outside. What an issuer's keys are is asked when a token needs to know, by one caller
// at a time; meanwhile the others go by the keys that there are.
type issuers struct {
	now   func() time.Time
	log   *slog.Logger
	fetch *fetcher
	known *lru.Cache[string, *issuerKeys]

	mu sync.Mutex // of known's entries coming to be
}

// issuerKeys are the keys of one issuer.
type issuerKeys struct {
	asking chan struct{} // holds one value while somebody asks

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	got     time.Time // when the keys came
	asked   time.Time // when they were last asked for, with or without an answer
	failure error     // of the last time
}

func newIssuers(opt Options) *issuers {
	known, err := lru.New[string, *issuerKeys](maxIssuers)
	if err != nil {
		panic("the size is a constant above zero")
	}
	return &issuers{now: opt.DB.Now, log: opt.Log, fetch: newFetcher(opt), known: known}
}

// checkURL refuses an address that would not be called. Errors: fault.Invalid.
func (is *issuers) checkURL(address string) error { return is.fetch.check(address) }

// verify checks a token of an issuer, signature and life; keysURL is where the keys are, or "" to ask the issuer. It makes
// one bounded call at most. Errors: fault.Unauthenticated; fault.Unavailable where the keys cannot be had.
func (is *issuers) verify(ctx context.Context, issuer, keysURL, token string) (map[string]any, error) {
	bad := func(why string) error { return fault.New(fault.Unauthenticated, "the token is not valid: %s", why) }
	if len(token) > maxToken {
		return nil, bad("it is too long")
	}
	signed, err := jose.ParseSignedCompact(token, foreignAlgorithms)
	if err != nil {
		return nil, bad("it is no JWT, or not signed with a public key")
	}
	header := signed.Signatures[0].Header
	keys, err := is.keysFor(ctx, issuer, keysURL, header)
	if err != nil {
		return nil, err
	}
	var payload []byte
	for _, k := range keys {
		if payload, err = signed.Verify(k.Key); err == nil {
			break
		}
	}
	if payload == nil {
		return nil, bad("its signature does not hold, or its key is not the issuer's")
	}
	var life assertion
	claims, err := readClaims(payload)
	if err != nil || json.Unmarshal(payload, &life) != nil {
		return nil, bad("its claims cannot be read")
	}
	now := float64(is.now().Unix())
	switch {
	case life.Issuer != issuer:
		return nil, bad("another service issued it")
	case life.Expires == nil || !(*life.Expires < 1e11):
		return nil, bad("it does not say when it ends")
	case now >= *life.Expires+foreignLate.Seconds():
		return nil, fault.New(auth.ExpiredToken, "the token is not valid: it has expired")
	case life.NotBefore != nil && !(*life.NotBefore <= now+foreignSkew.Seconds()), life.IssuedAt != nil && !(*life.IssuedAt <= now+foreignSkew.Seconds()):
		return nil, bad("it is not valid yet; check the clock")
	}
	return claims, nil
}

// readClaims reads claims with numbers as they are written: rules compare them so.
func readClaims(text []byte) (claims map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&claims)
	return claims, err
}

// keysFor finds the keys with which a token may be signed, and asks the issuer where it knows of none.
func (is *issuers) keysFor(ctx context.Context, issuer, keysURL string, header jose.Header) ([]jose.JSONWebKey, error) {
	of := is.entry(issuer + "\x00" + keysURL)
	fits := func() (fit []jose.JSONWebKey, old bool) {
		of.mu.Lock()
		defer of.mu.Unlock()
		age := is.now().Sub(of.got)
		if of.got.IsZero() || age < 0 || age > keysStale {
			return nil, true
		}
		for _, k := range of.keys {
			if (header.KeyID == "" || k.KeyID == header.KeyID) && (k.Algorithm == "" || k.Algorithm == header.Algorithm) {
				fit = append(fit, k)
			}
		}
		return fit, age > keysFresh
	}
	fit, old := fits()
	if len(fit) > 0 && !old {
		return fit, nil
	}
	select {
	case of.asking <- struct{}{}:
		defer func() { <-of.asking }()
	default:
		if len(fit) > 0 {
			return fit, nil // somebody asks already
		}
		select {
		case of.asking <- struct{}{}:
			defer func() { <-of.asking }()
		case <-ctx.Done():
			return nil, fault.New(fault.Unavailable, "issuer %s did not tell its keys in time", issuer)
		}
	}
	failure := is.refresh(ctx, of, issuer, keysURL)
	if fit, _ = fits(); len(fit) > 0 {
		return fit, nil
	}
	if failure != nil {
		// Why is for the log: it would tell who sends tokens what there is on the network.
		err := fault.New(fault.Unavailable, "the keys of issuer %s cannot be had now: the server's log says why", issuer).In(askAgain)
		err.Err = failure
		return nil, err
	}
	return nil, fault.New(fault.Unauthenticated, "the token is not valid: issuer %s has no key %.100q", issuer, header.KeyID)
}

func (is *issuers) entry(name string) *issuerKeys {
	is.mu.Lock()
	defer is.mu.Unlock()
	of, ok := is.known.Get(name)
	if !ok {
		of = &issuerKeys{asking: make(chan struct{}, 1)}
		is.known.Add(name, of)
	}
	return of
}

// refresh asks for the keys, unless that was done just now. The caller holds asking.
func (is *issuers) refresh(ctx context.Context, of *issuerKeys, issuer, keysURL string) error {
	of.mu.Lock()
	age, failure := is.now().Sub(of.asked), of.failure
	of.mu.Unlock()
	if age >= 0 && age < askAgain {
		return failure
	}
	keys, err := is.ask(context.WithoutCancel(ctx), issuer, keysURL) // bounded by itself: who goes away fails nobody else
	if err != nil {
		is.log.WarnContext(ctx, "issuer's keys not fetched", "issuer", issuer, "error", err)
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	of.asked, of.failure = is.now(), err
	if err == nil {
		of.keys, of.got = keys, of.asked
	}
	return err
}

// ask fetches an issuer's keys.
func (is *issuers) ask(ctx context.Context, issuer, keysURL string) ([]jose.JSONWebKey, error) {
	if keysURL == "" {
		text, err := is.fetch.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, err
		}
		var says struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := json.Unmarshal(text, &says); err != nil {
			return nil, errors.New("its configuration is no JSON")
		}
		if says.Issuer != issuer {
			return nil, fmt.Errorf("its configuration is that of %.200q", says.Issuer)
		}
		keysURL = says.Keys
	}
	text, err := is.fetch.get(ctx, keysURL)
	if err != nil {
		return nil, err
	}
	return readKeys(text)
}

// readKeys reads a key set. Keys that no signature here can be of are left out: whose kind is not known, symmetric ones,
// those for encryption, short ones.
func readKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("its keys are no JSON")
	}
	if len(set.Keys) > maxIssuerKeys {
		return nil, fmt.Errorf("it has %d keys: %d are allowed", len(set.Keys), maxIssuerKeys)
	}
	var out []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) == nil && usable(k) {
			out = append(out, k)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("it has no key with which tokens are signed")
	}
	return out, nil
}

func usable(k jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" || !k.Valid() || !k.IsPublic() {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= 2048
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

package auth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// retire is how long after a newer key's making a token key still verifies, at the least.
const retire = 48 * time.Hour

// tokenKey signs and verifies tokens.
type tokenKey struct {
	id      string // libtrust form, XXXX:XXXX:… in twelve groups
	private *rsa.PrivateKey
	created time.Time
}

// keyring holds the installation's token keys: the newest signs, all verify. Nodes share it through the store; one
// that meets a key it does not know reads again.
type keyring struct {
	db   *meta.DB
	life time.Duration // of the longest-lived token

	mu   sync.Mutex
	keys []tokenKey // oldest first
	read time.Time
}

// load reads the keys and makes the first.
func (k *keyring) load(ctx context.Context) error {
	keys, err := k.stored(ctx)
	if err == nil && len(keys) == 0 {
		if err = k.first(ctx); err == nil {
			keys, err = k.stored(ctx)
		}
	}
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.read = keys, k.db.Now()
	return nil
}

func (k *keyring) stored(ctx context.Context) ([]tokenKey, error) {
	var keys []tokenKey
	err := k.db.Look(ctx, func(tx *meta.Tx) error {
		secrets, err := tx.Secrets(acr.TokenKeyPrefix)
		if err != nil {
			return err
		}
		keys = keys[:0]
		for _, s := range secrets {
			parsed, err := x509.ParsePKCS8PrivateKey(s.Value)
			private, ok := parsed.(*rsa.PrivateKey)
			if err != nil || !ok {
				return fmt.Errorf("token key %s is no RSA key: %w", s.Name, err)
			}
			keys = append(keys, tokenKey{keyID(&private.PublicKey), private, s.Created})
		}
		return nil
	})
	return keys, err
}

// newKey makes a key and its form in the store.
func newKey() (id string, der []byte, err error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", nil, err
	}
	der, err = x509.MarshalPKCS8PrivateKey(private)
	return keyID(&private.PublicKey), der, err
}

// first makes the first key. It has a name of its own, so that of nodes that start at once only one makes it.
func (k *keyring) first(ctx context.Context) error {
	_, der, err := newKey()
	if err != nil {
		return err
	}
	return k.db.Update(ctx, func(tx *meta.Tx) error {
		_, err := tx.NewSecret(acr.TokenKeyPrefix+"first", der)
		return err
	})
}

// rotate makes a new key, with which tokens are signed from now on, and removes keys that no token can need.
// Names sort by time, and also where the clock was set back. Errors: fault.Conflict where another node does the same.
func (k *keyring) rotate(ctx context.Context) (id string, err error) {
	id, der, err := newKey()
	if err != nil {
		return "", err
	}
	if err := k.db.Update(ctx, func(tx *meta.Tx) error {
		secrets, err := tx.Secrets(acr.TokenKeyPrefix)
		if err != nil {
			return err
		}
		now := k.db.Now()
		name := fmt.Sprintf("%slater-%020d", acr.TokenKeyPrefix, now.UnixMicro())
		for i, s := range secrets {
			if name <= s.Name {
				name = s.Name + "0"
			}
			if i+1 < len(secrets) && now.Sub(secrets[i+1].Created) > max(retire, k.life) {
				if err := tx.DeleteSecret(s.Name); err != nil {
					return err
				}
			}
		}
		put, err := tx.NewSecret(name, der)
		if err == nil && !put {
			err = fault.New(fault.Conflict, "another node changes the token keys at this moment: look whether that will do")
		}
		return err
	}); err != nil {
		return "", err
	}
	return id, k.load(ctx)
}

// signer is the newest key.
func (k *keyring) signer() tokenKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[len(k.keys)-1]
}

// verifier finds a key by its ID, in the store too, though not more than once a second.
func (k *keyring) verifier(ctx context.Context, id string) (*rsa.PublicKey, error) {
	for again := false; ; again = true {
		k.mu.Lock()
		for i := range k.keys {
			if k.keys[i].id == id {
				defer k.mu.Unlock()
				return &k.keys[i].private.PublicKey, nil
			}
		}
		age := k.db.Now().Sub(k.read)
		fresh := age >= 0 && age < time.Second // below 0 the clock was set back
		k.mu.Unlock()
		if again || fresh {
			return nil, fault.New(fault.Unauthenticated, "the token was signed with a key that is not known here: log in again")
		}
		if err := k.load(ctx); err != nil {
			return nil, err
		}
	}
}

// keyID is the libtrust fingerprint: 240 bits of SHA-256 over the public key's DER, in base 32, in groups of four.
func keyID(public *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // an RSA key always marshals
	}
	sum := sha256.Sum256(der)
	text := base32.StdEncoding.EncodeToString(sum[:30])
	groups := make([]string, 0, 12)
	for i := 0; i < len(text); i += 4 {
		groups = append(groups, text[i:i+4])
	}
	return strings.Join(groups, ":")
}

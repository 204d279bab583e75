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

// retire is how long after a newer key's making a token key still verifies: longer than any token lives.
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
	db *meta.DB

	mu   sync.Mutex
	keys []tokenKey // oldest first
	read time.Time
}

// load reads the keys and makes the first.
func (k *keyring) load(ctx context.Context) error {
	keys, err := k.stored(ctx)
	if err == nil && len(keys) == 0 {
		if _, err = k.add(ctx, "first"); err == nil {
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

// add makes a key. Its secret's name sorts by time; "first" is a name of its own, so that of two nodes that start
// at once only one makes it.
func (k *keyring) add(ctx context.Context, name string) (tokenKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return tokenKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return tokenKey{}, err
	}
	now := k.db.Now()
	if name == "" {
		name = fmt.Sprintf("later-%020d", now.UnixMicro())
	}
	err = k.db.Update(ctx, func(tx *meta.Tx) error {
		_, err := tx.NewSecret(acr.TokenKeyPrefix+name, der)
		return err
	})
	return tokenKey{keyID(&private.PublicKey), private, now}, err
}

// rotate makes a new key, with which tokens are signed from now on, and removes keys that no token can need.
func (k *keyring) rotate(ctx context.Context) (id string, err error) {
	added, err := k.add(ctx, "")
	if err != nil {
		return "", err
	}
	if err := k.db.Update(ctx, func(tx *meta.Tx) error {
		secrets, err := tx.Secrets(acr.TokenKeyPrefix)
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(secrets); i++ {
			if k.db.Now().Sub(secrets[i+1].Created) > retire {
				if err := tx.DeleteSecret(secrets[i].Name); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil {
		return "", err
	}
	return added.id, k.load(ctx)
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
		fresh := k.db.Now().Sub(k.read) < time.Second
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

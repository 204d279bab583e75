package directory

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Names of the secrets.
const (
	keyPrefix = "directory-key/"
	sealName  = "directory-seal"
)

// retire is how long after a newer key's making a key still verifies, at the least.
const retire = 48 * time.Hour

// Key is a public key with which tokens verify.
type Key struct {
	ID          string // base64url of the certificate's SHA-1, as the real service names its keys
	Public      *rsa.PublicKey
	Certificate []byte // DER, of its own making
	Created     time.Time
}

// signingKey is a Key with its other half.
type signingKey struct {
	Key
	private *rsa.PrivateKey
}

// keyring holds the tenant's signing keys: the newest signs, all verify. Nodes share it through the store; one that meets
// a key it does not know reads again, at most once a second.
type keyring struct {
	db     *meta.DB
	tenant string
	life   time.Duration // of the longest-lived token

	mu   sync.Mutex
	keys []signingKey // oldest first
	read time.Time
}

// Keys are the keys with which tokens verify, the one that signs last.
func (s *Service) Keys(ctx context.Context) ([]Key, error) {
	if _, err := s.keys.recent(ctx, freshness); err != nil {
		return nil, err
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	out := make([]Key, len(s.keys.keys))
	for i, k := range s.keys.keys {
		out[i] = k.Key
	}
	return out, nil
}

// RotateKeys has tokens signed with a new key from now on; those signed with earlier ones hold until they expire. Only the
// system may. Errors: fault.Denied; fault.Conflict where another node does the same.
func (s *Service) RotateKeys(ctx context.Context) (keyID string, err error) {
	if err := system(ctx); err != nil {
		return "", err
	}
	return s.keys.rotate(ctx)
}

// RotateKeysOlder is RotateKeys where the newest key is older than age.
func (s *Service) RotateKeysOlder(ctx context.Context, age time.Duration) error {
	if s.opt.DB.Now().Sub(s.keys.signer().Created) < age {
		return nil
	}
	_, err := s.RotateKeys(ctx)
	return err
}

// system refuses everybody but the server itself.
func system(ctx context.Context) error {
	if id, ok := auth.Who(ctx); ok && id.Kind() == "system" {
		return nil
	}
	return fault.New(fault.Denied, "only the server itself may do this")
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

func (k *keyring) stored(ctx context.Context) ([]signingKey, error) {
	var keys []signingKey
	err := k.db.Look(ctx, func(tx *meta.Tx) error {
		secrets, err := tx.Secrets(keyPrefix)
		if err != nil {
			return err
		}
		keys = keys[:0]
		for _, sec := range secrets {
			key, err := readKey(sec.Value)
			if err != nil {
				return fmt.Errorf("signing key %s: %w", sec.Name, err)
			}
			key.Created = sec.Created
			keys = append(keys, key)
		}
		return nil
	})
	return keys, err
}

func readKey(text []byte) (signingKey, error) {
	block, rest := pem.Decode(text)
	certificate, _ := pem.Decode(rest)
	if block == nil || certificate == nil {
		return signingKey{}, errors.New("it is not a key with its certificate")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return signingKey{}, fmt.Errorf("it is no RSA key: %w", err)
	}
	return signingKey{Key{ID: thumbprint(certificate.Bytes), Public: &private.PublicKey, Certificate: certificate.Bytes}, private}, nil
}

// thumbprint is the claim x5t of a certificate. SHA-1 names it; nothing rests on its strength.
func thumbprint(der []byte) string {
	sum := sha1.Sum(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// newKey makes a key with a certificate, in the form in which the store keeps them.
func (k *keyring) newKey() (id string, text []byte, err error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return "", nil, err
	}
	now := k.db.Now()
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "acre signing " + k.tenant},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), crypto.Signer(private))
	if err != nil {
		return "", nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", nil, err
	}
	var b bytes.Buffer
	err = errors.Join(pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return thumbprint(der), b.Bytes(), err
}

// first makes the first key. It has a name of its own, so that of nodes that start at once only one makes it.
func (k *keyring) first(ctx context.Context) error {
	_, text, err := k.newKey()
	if err != nil {
		return err
	}
	return k.db.Update(ctx, func(tx *meta.Tx) error {
		_, err := tx.NewSecret(keyPrefix+"first", text)
		return err
	})
}

// rotate makes a new key and removes those that no token can need. Names sort by time, also where the clock was set back.
func (k *keyring) rotate(ctx context.Context) (id string, err error) {
	id, text, err := k.newKey()
	if err != nil {
		return "", err
	}
	if err := k.db.Update(ctx, func(tx *meta.Tx) error {
		secrets, err := tx.Secrets(keyPrefix)
		if err != nil {
			return err
		}
		now := k.db.Now()
		name := fmt.Sprintf("%slater-%020d", keyPrefix, now.UnixMicro())
		for i, sec := range secrets {
			if name <= sec.Name {
				name = sec.Name + "0"
			}
			if i+1 < len(secrets) && now.Sub(secrets[i+1].Created) > max(retire, 2*k.life) {
				if err := tx.DeleteSecret(sec.Name); err != nil {
					return err
				}
			}
		}
		put, err := tx.NewSecret(name, text)
		if err == nil && !put {
			err = fault.New(fault.Conflict, "another node changes the signing keys at this moment: look whether that will do")
		}
		return err
	}); err != nil {
		return "", err
	}
	return id, k.load(ctx)
}

// signer is the newest key.
func (k *keyring) signer() signingKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[len(k.keys)-1]
}

// verifier finds a key by its ID, in the store too. Errors: fault.Unauthenticated.
func (k *keyring) verifier(ctx context.Context, id string) (*rsa.PublicKey, error) {
	for again := false; ; again = true {
		k.mu.Lock()
		for i := range k.keys {
			if k.keys[i].ID == id {
				defer k.mu.Unlock()
				return k.keys[i].Public, nil
			}
		}
		k.mu.Unlock()
		read, err := false, error(nil)
		if !again {
			read, err = k.recent(ctx, time.Second)
		}
		if err != nil {
			return nil, err
		}
		if !read {
			return nil, fault.New(fault.Unauthenticated, "the token was signed with a key that is not known here: log in again")
		}
	}
}

// recent reads the keys again if they were read before age; read tells whether it did.
func (k *keyring) recent(ctx context.Context, age time.Duration) (read bool, err error) {
	k.mu.Lock()
	since := k.db.Now().Sub(k.read)
	k.mu.Unlock()
	if since >= 0 && since < age { // below 0 the clock was set back
		return false, nil
	}
	return true, k.load(ctx)
}

// loadSeal reads the key that seals refresh tokens and codes, and makes it in a new store.
func loadSeal(ctx context.Context, db *meta.DB) (cipher.AEAD, error) {
	var key []byte
	read := func(tx *meta.Tx) error {
		sec, err := tx.Secret(sealName)
		key = sec.Value
		return err
	}
	err := db.Look(ctx, read)
	if errors.Is(err, fault.NotFound) {
		if err = db.Update(ctx, func(tx *meta.Tx) error { _, err := tx.NewSecret(sealName, meta.NewSealKey()); return err }); err == nil {
			err = db.Look(ctx, read)
		}
	}
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

package meta

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
	"unicode"

	"github.com/acre-registry/acre/internal/fault"
)

// Secret is a value kept sealed.
type Secret struct {
	Name    string
	Value   []byte
	Created time.Time
}

// PutSecret seals a value under a name; the one that was there is replaced. It moves the generation on: an admin user's
// passwords are remembered with its registry.
func (tx *Tx) PutSecret(name string, value []byte) error {
	sealed, err := tx.db.opt.seal(name, value)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO secret (name, sealed, created) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, created = excluded.created`, name, sealed, tx.now())
	if err != nil {
		return err
	}
	return tx.changed()
}

// NewSecret is PutSecret unless the name is taken, and nothing changes; put tells which.
func (tx *Tx) NewSecret(name string, value []byte) (put bool, err error) {
	sealed, err := tx.db.opt.seal(name, value)
	if err != nil {
		return false, err
	}
	n, err := tx.exec("INSERT INTO secret (name, sealed, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", name, sealed, tx.now())
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.changed()
}

// Secret opens a secret. Errors: fault.NotFound.
func (tx *Tx) Secret(name string) (Secret, error) {
	list, err := tx.secrets("SELECT name, sealed, created FROM secret WHERE name = ?", name)
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "secret %s does not exist", name)
	}
	if err != nil {
		return Secret{}, err
	}
	return list[0], nil
}

// Secrets opens all secrets whose names begin with prefix, by name.
func (tx *Tx) Secrets(prefix string) ([]Secret, error) {
	return tx.secrets("SELECT name, sealed, created FROM secret WHERE name >= ? AND name < ? ORDER BY name",
		prefix, prefix+string(unicode.MaxRune))
}

// DeleteSecret removes a secret.
func (tx *Tx) DeleteSecret(name string) error {
	_, err := tx.exec("DELETE FROM secret WHERE name = ?", name)
	return err
}

func (tx *Tx) secrets(query string, args ...any) ([]Secret, error) {
	var out []Secret
	err := tx.each(query, args, func(scan func(...any) error) error {
		var s Secret
		var sealed []byte
		var created int64
		if err := scan(&s.Name, &sealed, &created); err != nil {
			return err
		}
		value, err := tx.db.opt.unseal(s.Name, sealed)
		s.Value, s.Created = value, time.UnixMicro(created).UTC()
		out = append(out, s)
		return err
	})
	return out, err
}

func (o Options) aead() (cipher.AEAD, error) {
	if len(o.SealKey) != 32 {
		return nil, errors.New("no seal key of 32 bytes is configured, so secrets can be neither kept nor read")
	}
	block, err := aes.NewCipher(o.SealKey)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal binds the value to its name, so that one secret cannot be put in another's place.
func (o Options) seal(name string, value []byte) ([]byte, error) {
	a, err := o.aead()
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, value, []byte(name)), nil
}

func (o Options) unseal(name string, sealed []byte) ([]byte, error) {
	a, err := o.aead()
	if err != nil {
		return nil, err
	}
	value, err := a.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("secret %s cannot be opened: the seal key is not the one it was sealed with", name)
	}
	return value, nil
}

// NewSealKey makes a key for Options.
func NewSealKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}

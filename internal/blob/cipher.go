package blob

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"

	"github.com/acre-registry/acre/internal/fault"
)

// CipherKey is how many bytes a Cipher's key has.
const CipherKey = 32

// RowOverhead is by how many bytes a row that SealRow sealed is longer than what it holds.
const RowOverhead = nonceSize + tagSize

const (
	nonceSize = 12
	tagSize   = 16
)

// Cipher seals bytes with keys that it derives from one: each object and each row has its own, which follows from its name, so
// that none can stand in another's place. Its methods may be called at once from many goroutines.
type Cipher struct{ key []byte }

// NewCipher makes a cipher of a key of CipherKey random bytes. Errors: fault.Internal for any other number of them.
func NewCipher(key []byte) (*Cipher, error) {
	if len(key) != CipherKey {
		return nil, fault.New(fault.Internal, "a key of %d bytes cannot seal contents; it must have %d", len(key), CipherKey)
	}
	return &Cipher{key}, nil
}

// Kinds of what a cipher seals, so that the names of one are not those of another.
const (
	ofObject = "acre object 1\x00"
	ofRow    = "acre row 1\x00"
	ofState  = "acre state 1\x00"
)

// block is the block cipher for a name; none of what it is made from can fail.
func (c *Cipher) block(kind, name string) cipher.Block {
	key, err := hkdf.Key(sha256.New, c.key, nil, kind+name, 32)
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return block
}

// aead seals whole, with nonces of its own.
func (c *Cipher) aead(kind, name string) cipher.AEAD {
	a, err := cipher.NewGCMWithRandomNonce(c.block(kind, name))
	if err != nil {
		panic(err)
	}
	return a
}

// chunks are those of the object that has a key.
func (c *Cipher) chunks(key string) chunks {
	a, err := cipher.NewGCM(c.block(ofObject, key))
	if err != nil {
		panic(err)
	}
	return chunks{a}
}

// SealRow seals bytes that are kept under a name which no others have.
func (c *Cipher) SealRow(name string, body []byte) []byte { return c.seal(ofRow, name, body) }

// OpenRow opens what SealRow sealed under the same name. Errors: fault.Internal where it is damaged, or another's.
func (c *Cipher) OpenRow(name string, sealed []byte) ([]byte, error) {
	body, err := c.open(ofRow, name, sealed)
	if err != nil {
		return nil, fault.New(fault.Internal, "%s is damaged, or sealed with another key; restore it, or delete it and push it again: %w", name, err)
	}
	return body, nil
}

func (c *Cipher) seal(kind, name string, body []byte) []byte {
	return c.aead(kind, name).Seal(make([]byte, 0, len(body)+RowOverhead), nil, body, nil)
}

func (c *Cipher) open(kind, name string, sealed []byte) ([]byte, error) {
	return c.aead(kind, name).Open(make([]byte, 0, max(0, len(sealed)-RowOverhead)), nil, sealed, nil)
}

// newNonce draws a nonce whose first bit is left to tell the last chunk.
func newNonce(nonce []byte, last bool) {
	_, _ = rand.Read(nonce) // never fails
	nonce[0] &^= lastMark
	if last {
		nonce[0] |= lastMark
	}
}

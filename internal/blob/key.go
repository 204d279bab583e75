package blob

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// MaxKey is the longest key, in bytes.
const MaxKey = 100

// NewKey is a fresh random key of 26 characters. The first two are hexadecimal: a driver that spreads objects by them
// has 256 folders.
func NewKey() string {
	var fan [1]byte
	_, _ = rand.Read(fan[:]) // never fails
	return hex.EncodeToString(fan[:]) + strings.ToLower(rand.Text())[:24]
}

// CheckKey holds for keys of 1 to MaxKey characters of [a-z0-9-]. Errors: fault.Invalid.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fault.New(fault.Invalid, "object key %.120q has %d characters; it must have 1 to %d", key, len(key), MaxKey)
	}
	for i := range len(key) {
		if c := key[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fault.New(fault.Invalid, "object key %q has a character other than a-z, 0-9 and -", key)
		}
	}
	return nil
}

package blob

import (
	"crypto/rand"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// MaxKey is the longest key, in bytes.
const MaxKey = 100

// NewKey is a fresh random key of 26 characters. Its first characters are random too, so that drivers can spread
// objects over folders or partitions by prefix.
func NewKey() string { return strings.ToLower(rand.Text()) }

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

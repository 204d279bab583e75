package acr

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// A verifier is what is kept of a secret: kind, iterations, salt and sum, joined by dollar signs. Secrets that were
// generated here hold 200 bits and more, which one round of hashing keeps; what people choose needs many.
const (
	verifierKind     = "pbkdf2-sha256"
	passwordRounds   = 600_000 // OWASP's figure for PBKDF2-HMAC-SHA256
	generatedRounds  = 1
	verifierSaltSize = 16
)

// PasswordVerifier is the verifier of a password that somebody chose. It takes about a tenth of a second, as each check
// does: see SlowVerifier.
func PasswordVerifier(password string) string { return newVerifier(password, passwordRounds) }

// SecretVerifier is the verifier of a generated secret.
func SecretVerifier(secret string) string { return newVerifier(secret, generatedRounds) }

func newVerifier(secret string, rounds int) string {
	salt := make([]byte, verifierSaltSize)
	_, _ = rand.Read(salt) // never fails
	enc := base64.RawStdEncoding
	return strings.Join([]string{verifierKind, strconv.Itoa(rounds), enc.EncodeToString(salt), enc.EncodeToString(stretch(secret, salt, rounds))}, "$")
}

func stretch(secret string, salt []byte, rounds int) []byte {
	sum, err := pbkdf2.Key(sha256.New, secret, salt, rounds, sha256.Size)
	if err != nil {
		panic(err) // only of sizes that are constants here
	}
	return sum
}

// VerifySecret tells whether a secret is the one a verifier was made of. A verifier that cannot be read fits none.
func VerifySecret(verifier, secret string) bool {
	part := strings.Split(verifier, "$")
	if len(part) != 4 || part[0] != verifierKind {
		return false
	}
	rounds, err := strconv.Atoi(part[1])
	salt, err1 := base64.RawStdEncoding.DecodeString(part[2])
	sum, err2 := base64.RawStdEncoding.DecodeString(part[3])
	if err != nil || err1 != nil || err2 != nil || rounds < 1 || rounds > 10*passwordRounds {
		return false
	}
	return subtle.ConstantTimeCompare(stretch(secret, salt, rounds), sum) == 1
}

// SlowVerifier tells whether a check against the verifier takes long, and so must be bounded.
func SlowVerifier(verifier string) bool { return !strings.HasPrefix(verifier, verifierKind+"$1$") }

package acr

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/bits"
	"slices"
	"strings"
)

// Secrets that are generated have a form by which they are known where they must not be: that of the real service's, which
// scanners for secrets look for.
const (
	passwordMark  = "+ACR" // after 42 characters, before six that check them
	passwordSize  = 52
	passwordCheck = 4                  // bytes
	passwordSeed  = 0x41435244666c7430 // "ACRDflt0", of the check
	clientMark    = "8Q~"              // after three characters, before forty
	clientSize    = 46
)

// NewPassword makes a password of an admin user or a token: 52 characters of base 64, 250 bits of chance, then a mark and a
// check. But for the mark's plus all are letters and digits.
func NewPassword() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for {
		text := make([]byte, 0, passwordSize)
		for len(text) < passwordSize-len(passwordMark)-6 {
			var b [1]byte
			_, _ = rand.Read(b[:]) // never fails
			if n := int(b[0] & 63); n < len(letters) {
				text = append(text, letters[n])
			}
		}
		raw, err := base64.StdEncoding.DecodeString(string(text) + passwordMark + "AAAAAA")
		if err != nil {
			panic(err) // all of it is base 64
		}
		check(raw)
		if end := base64.StdEncoding.EncodeToString(raw); !strings.ContainsAny(end[passwordSize-6:], "+/") {
			return end
		}
	}
}

// check writes the check of a password's bytes behind them.
func check(raw []byte) {
	body := raw[:len(raw)-passwordCheck]
	binary.LittleEndian.PutUint32(raw[len(body):], marvin(passwordSeed, body))
}

// marvin is Marvin32, folded to 32 bits: the check that the real service's keys carry.
func marvin(seed uint64, data []byte) uint32 {
	a, b := uint32(seed), uint32(seed>>32)
	mix := func(word uint32) {
		a += word
		b ^= a
		a = bits.RotateLeft32(a, 20) + b
		b = bits.RotateLeft32(b, 9) ^ a
		a = bits.RotateLeft32(a, 27) + b
		b = bits.RotateLeft32(b, 19)
	}
	for ; len(data) >= 4; data = data[4:] {
		mix(binary.LittleEndian.Uint32(data))
	}
	var last [4]byte
	last[copy(last[:], data)] = 0x80
	mix(binary.LittleEndian.Uint32(last[:]))
	mix(0)
	return a ^ b
}

// NewClientSecret makes a secret of an application. Its mark is that of the real service's; none of it needs quoting in a shell.
func NewClientSecret() string {
	return rand.Text()[:3] + clientMark + (rand.Text() + rand.Text())[:clientSize-3-len(clientMark)]
}

// SecretHash tells generated secrets apart, and is no way to one: these hold more than 200 bits.
func SecretHash(secret string) string {
	sum := sha256.Sum256([]byte("generated secret\x00" + secret))
	return hex.EncodeToString(sum[:12])
}

// secretKey is a Key of what holds a generated secret, by its hash.
func secretKey(hash string) string { return SecretKeyPrefix + hash }

// SecretKeyPrefix begins the Keys of what holds generated secrets; a SecretHash follows.
const SecretKeyPrefix = "secret:"

// FindSecrets finds what has the form of a generated secret, each once: as it is, with its signs escaped as in URLs, and
// within base 64, twice over at most, as docker's configuration and Kubernetes' secrets hold it.
func FindSecrets(text string) []string {
	var out []string
	findSecrets(text, 2, func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	})
	return out
}

var unescaped = strings.NewReplacer("%2B", "+", "%2b", "+", "%2F", "/", "%2f", "/", "%7E", "~", "%7e", "~")

func findSecrets(text string, depth int, found func(string)) {
	if strings.Contains(text, "%") {
		text = unescaped.Replace(text)
	}
	marked(text, passwordMark, passwordSize-len(passwordMark)-6, passwordSize, found, isPassword)
	marked(text, clientMark, 3, clientSize, found, isClientSecret)
	if depth == 0 {
		return
	}
	for run := range strings.FieldsFuncSeq(text, func(r rune) bool { return !inBase64(r) }) {
		if len(run) < passwordSize && len(run) < clientSize {
			continue
		}
		enc := base64.RawStdEncoding
		if strings.ContainsAny(run, "-_") {
			enc = base64.RawURLEncoding
		}
		raw := make([]byte, enc.DecodedLen(len(run)))
		if n, err := enc.Decode(raw, []byte(run)); err == nil || n >= clientSize {
			findSecrets(string(raw[:n]), depth-1, found)
		}
	}
}

// marked finds each mark in text, and what is around it: before bytes, size in all.
func marked(text, mark string, before, size int, found func(string), is func(string) bool) {
	for at := 0; ; at++ {
		n := strings.Index(text[at:], mark)
		if n < 0 {
			return
		}
		at += n
		if from := at - before; from >= 0 && from+size <= len(text) && is(text[from:from+size]) {
			found(strings.Clone(text[from : from+size]))
		}
	}
}

func inBase64(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/' || r == '-' || r == '_'
}

func isPassword(s string) bool {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw) <= passwordCheck {
		return false
	}
	want := slices.Clone(raw)
	check(want)
	return slices.Equal(raw, want)
}

func isClientSecret(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') && (i < 3 || i >= 3+len(clientMark)) {
			return false
		}
	}
	return true
}

// ReadSecrets is FindSecrets for what is too long to be held at once, up to most secrets. A run of base 64 of more than 64 KiB is
// looked at in pieces.
func ReadSecrets(r io.Reader, most int) ([]string, error) {
	const page, longest = 256 << 10, 64 << 10
	var out []string
	var rest []byte
	buf := make([]byte, page)
	for {
		n, err := io.ReadFull(r, buf)
		rest = append(rest, buf[:n]...)
		end := len(rest)
		keep := end
		if err == nil {
			// What may go on in the next page waits for it.
			for end > 0 && len(rest)-end < longest && !isBreak(rest[end-1]) {
				end--
			}
			if keep = end; len(rest)-end == longest {
				end, keep = len(rest), len(rest)-4*passwordSize
			}
		}
		for _, s := range FindSecrets(string(rest[:end])) {
			if !slices.Contains(out, s) && len(out) < most {
				out = append(out, s)
			}
		}
		rest = append(rest[:0], rest[keep:]...)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

// isBreak tells that no secret, nor its escapes or base 64, goes on over a byte.
func isBreak(c byte) bool {
	return c <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>' || c == ',' || c == ';'
}

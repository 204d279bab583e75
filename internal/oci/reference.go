package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
)

// Digest is algorithm:hex of exact bytes. A Digest that came out of ParseDigest is well-formed.
type Digest = digest.Digest

// Limits of the grammar. The name's is the whole reference's limit that clients keep (255 with the host).
const (
	MaxName = 255
	MaxTag  = 128
)

// ParseDigest checks s against the digest grammar and the two algorithms that registries must accept,
// sha256 and sha512. Errors: DIGEST_INVALID.
func ParseDigest(s string) (Digest, error) {
	alg, enc, ok := strings.Cut(s, ":")
	if !ok {
		return "", fault.New(fault.DigestInvalid, "digest %.80q is not algorithm:hex", s)
	}
	size := 0
	switch digest.Algorithm(alg) {
	case digest.SHA256:
		size = 2 * sha256.Size
	case digest.SHA512:
		size = 2 * sha512.Size
	default:
		return "", fault.New(fault.DigestInvalid, "digest algorithm %.40q is not supported; use sha256 or sha512", alg)
	}
	if len(enc) != size {
		return "", fault.New(fault.DigestInvalid, "digest %.160q has %d characters after %s:, not %d", s, len(enc), alg, size)
	}
	for i := range len(enc) {
		if c := enc[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fault.New(fault.DigestInvalid, "digest %.160q is not lower-case hex", s)
		}
	}
	return Digest(s), nil
}

// NewHash is the hash of an algorithm that ParseDigest accepts; nil for any other.
func NewHash(alg digest.Algorithm) hash.Hash {
	switch alg {
	case digest.SHA256:
		return sha256.New()
	case digest.SHA512:
		return sha512.New()
	}
	return nil
}

// SumDigest is the digest of what h has seen.
func SumDigest(alg digest.Algorithm, h hash.Hash) Digest {
	var sum [sha512.Size]byte
	return Digest(string(alg) + ":" + hex.EncodeToString(h.Sum(sum[:0])))
}

// Ref is a tag or a digest. Exactly one is set, but that PutManifest takes both: a manifest by its digest, with a tag.
type Ref struct {
	Tag    string
	Digest Digest
}

func (r Ref) String() string {
	if r.Digest != "" {
		return string(r.Digest)
	}
	return r.Tag
}

// ParseRef reads what follows /manifests/: with a colon it is a digest, else a tag.
// Errors: DIGEST_INVALID, TAG_INVALID.
func ParseRef(s string) (Ref, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Ref{Digest: d}, err
	}
	return Ref{Tag: s}, CheckTag(s)
}

// CheckTag holds s against [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}. Errors: TAG_INVALID.
func CheckTag(s string) error {
	ok := s != "" && len(s) <= MaxTag && s[0] != '.' && s[0] != '-'
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = alnum(c) || c >= 'A' && c <= 'Z' || c == '_' || c == '.' || c == '-'
	}
	if !ok {
		return fault.New(fault.TagInvalid, "tag %.140q is not valid: use 1 to 128 of A-Z a-z 0-9 _ . -, not beginning with . or -", s)
	}
	return nil
}

// CheckName holds a repository name against the distribution grammar:
// components of [a-z0-9]+ joined by one '.', one or two '_', or any number of '-', separated by '/'.
// Errors: NAME_INVALID.
func CheckName(s string) error {
	if len(s) == 0 || len(s) > MaxName {
		return fault.New(fault.NameInvalid, "invalid repository name %.80q: it has %d characters, 1 to %d are allowed", s, len(s), MaxName)
	}
	for i := 0; i < len(s); {
		// Here a component or the part after a separator begins.
		if !alnum(s[i]) {
			return badName(s)
		}
		for i < len(s) && alnum(s[i]) {
			i++
		}
		if i == len(s) {
			return nil
		}
		switch s[i] {
		case '.', '/':
			i++
		case '_':
			if i++; i < len(s) && s[i] == '_' {
				i++
			}
		case '-':
			for i < len(s) && s[i] == '-' {
				i++
			}
		default:
			return badName(s)
		}
	}
	return badName(s) // ended with a separator
}

func badName(s string) error {
	if s != strings.ToLower(s) {
		return fault.New(fault.NameInvalid, "invalid repository name %.260q: repository name must be lowercase", s)
	}
	return fault.New(fault.NameInvalid,
		"invalid repository name %.260q: components of a-z 0-9, joined inside by . _ __ or -, separated by /", s)
}

func alnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// FallbackTag is the tag under which clients without the referrers API keep a subject's referrers
// (distribution-spec "Referrers Tag Schema").
func FallbackTag(subject Digest) string {
	alg, enc, _ := strings.Cut(string(subject), ":")
	tag := []byte(alg[:min(len(alg), 32)] + "-" + enc[:min(len(enc), 64)])
	for i, c := range tag {
		if !alnum(c) && (c < 'A' || c > 'Z') && c != '_' && c != '.' && c != '-' {
			tag[i] = '-'
		}
	}
	return string(tag)
}

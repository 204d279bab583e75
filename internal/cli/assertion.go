package cli

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is a SHA-1 thumbprint by definition (RFC 7515, 4.1.7); nothing is trusted by it
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/fault"
)

const goodKeys = "use an RSA key or one on the curve P-256"

// assertionLife is how long a signed assertion holds.
const assertionLife = 10 * time.Minute

// assert signs who the service principal is with the key in its certificate file, for one token endpoint.
func assert(who *signIn, endpoint string, now time.Time) (string, error) {
	chain, key, err := readCertificate(who.Certificate)
	if err != nil {
		return "", err
	}
	alg := jose.RS256
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		alg = jose.ES256
	}
	s1, s256 := sha1.Sum(chain[0]), sha256.Sum256(chain[0]) //nolint:gosec // as above
	opt := (&jose.SignerOptions{}).WithType("JWT").
		WithHeader("x5t", base64.RawURLEncoding.EncodeToString(s1[:])).
		WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(s256[:]))
	if who.SendChain {
		opt = opt.WithHeader("x5c", chain) // bytes become standard base64 in JSON, as x5c wants
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opt)
	if err != nil {
		return "", fault.New(fault.Invalid, "%s: the key cannot sign: %w; "+goodKeys, who.Certificate, err)
	}
	text, err := json.Marshal(map[string]any{
		"aud": endpoint, "iss": who.ClientID, "sub": who.ClientID, "jti": uuid.NewString(),
		"nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(text)
	if err != nil {
		return "", fault.New(fault.Invalid, "%s: the key cannot sign: %w; "+goodKeys, who.Certificate, err)
	}
	return signed.CompactSerialize()
}

// readCertificate reads a PEM file that holds a private key and its certificate, with those of its issuers if any.
func readCertificate(file string) (chain [][]byte, key any, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "the certificate to sign in with: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			chain = append(chain, block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		}
		if err != nil {
			return nil, nil, fault.New(fault.Invalid, "%s: the private key cannot be read: %w", file, err)
		}
	}
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
	default:
		return nil, nil, fault.New(fault.Invalid, "%s holds no private key of RSA or ECDSA: it is to be a PEM file with the key and its certificate", file)
	}
	if len(chain) == 0 {
		return nil, nil, fault.New(fault.Invalid, "%s holds no certificate: it is to be a PEM file with the private key and its certificate", file)
	}
	if _, err := x509.ParseCertificate(chain[0]); err != nil {
		return nil, nil, fault.New(fault.Invalid, "%s: the certificate cannot be read: %w", file, err)
	}
	return chain, key, nil
}

package acr

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// CustomDomain is the resource registries/customDomains: a name of somebody's own under which a registry answers, once
// whoever added it has shown control over it.
type CustomDomain struct {
	Name        string            `json:"name"`     // the domain, in lower case
	Registry    string            `json:"registry"` // the key of the registry that answers
	Proof       DomainProof       `json:"proof"`
	Certificate DomainCertificate `json:"certificate"`
	System      SystemData        `json:"systemData,omitzero"`

	// Upload is the pair that a change brings; it is sealed, and never part of the document.
	Upload *KeyPair `json:"-"`
}

// ResourceType names the documents.
func (CustomDomain) ResourceType() string { return "registries/customDomains" }

// Keys find a domain by its name.
func (d CustomDomain) Keys() []string { return []string{DomainKey(d.Name)} }

// DomainKey is what a domain is found by.
func DomainKey(domain string) string { return "domain:" + strings.ToLower(domain) }

// DomainSecret is the name under which a domain is claimed, and its certificate sealed: whoever has it has the domain.
func DomainSecret(domain string) string { return DomainSecrets + strings.ToLower(domain) }

// DomainSecrets begins the names of all of them.
const DomainSecrets = "customdomain/"

// SealedDomain is what is sealed under DomainSecret.
type SealedDomain struct {
	Owner string `json:"owner"` // the registry's UID
	KeyPair
}

// KeyPair is a certificate with its chain, leaf first, and its key, in PEM.
type KeyPair struct {
	Chain string `json:"chain,omitempty"`
	Key   string `json:"key,omitempty"`
}

// DomainProof is how control over a domain is shown: by a TXT record, or by what the domain answers over HTTP.
type DomainProof struct {
	ID      string    `json:"id"`    // the last part of ProofPath
	Value   string    `json:"value"` // what the record or the answer says
	Method  string    `json:"method,omitempty"`
	At      time.Time `json:"at,omitzero"`       // when it was shown; zero: not yet
	Since   time.Time `json:"since"`             // when it began to be looked for
	Missing string    `json:"missing,omitempty"` // what was found instead
}

// ProofLife is how long proof is looked for before the domain has failed.
const ProofLife = 7 * 24 * time.Hour

// Ways to show control over a domain.
const (
	DNSProof  = "dns"
	HTTPProof = "http"
)

// ProofRecord is the name of the TXT record that shows control over a domain.
func ProofRecord(domain string) string { return "_acre-challenge." + domain }

// ProofPath begins the path whose answer shows control over a domain; the proof's ID follows.
const ProofPath = "/.well-known/acre-challenge/"

// CertificateSource is where a domain's certificate comes from.
type CertificateSource string

// Sources of certificates.
const (
	ServerCertificate   CertificateSource = "Server" // what the server presents by itself: of its own authority, or its files
	UploadedCertificate CertificateSource = "Upload"
	ACMECertificate     CertificateSource = "Acme"
)

// DomainCertificate tells of a domain's certificate; it and its key are sealed. What the server presents by itself has
// only a source.
type DomainCertificate struct {
	Source     CertificateSource `json:"source"`
	Subject    string            `json:"subject,omitempty"`
	Issuer     string            `json:"issuer,omitempty"`
	Names      []string          `json:"names,omitempty"`
	Serial     string            `json:"serialNumber,omitempty"`
	Thumbprint string            `json:"thumbprint,omitempty"` // SHA-256 of the leaf in hex; "": there is none
	NotBefore  time.Time         `json:"notBefore,omitzero"`
	NotAfter   time.Time         `json:"notAfter,omitzero"`

	Due      bool      `json:"due,omitempty"`      // another one is to be got, while this one serves
	Failures int       `json:"failures,omitempty"` // attempts in a row to get one, or a new one
	Failure  string    `json:"failure,omitempty"`
	Next     time.Time `json:"nextAttempt,omitzero"` // not before then
}

// Renewal is when a new certificate is due: at two thirds of its life.
func (c DomainCertificate) Renewal() time.Time {
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3)
}

// DomainState is how far a domain is.
type DomainState string

// States of a domain.
const (
	DomainPending  DomainState = "Pending"  // control was not shown yet
	DomainVerified DomainState = "Verified" // it was; the certificate is on its way
	DomainReady    DomainState = "Ready"
	DomainFailed   DomainState = "Failed"
)

// State tells how far the domain is at a time, and why it is no further.
func (d CustomDomain) State(now time.Time) (DomainState, string) {
	p, c := d.Proof, d.Certificate
	switch {
	case p.At.IsZero() && now.After(p.Since.Add(ProofLife)):
		return DomainFailed, fmt.Sprintf("control over %s was not shown in %d days: %s", d.Name, int(ProofLife.Hours()/24), p.Missing)
	case p.At.IsZero() && p.Missing != "":
		return DomainPending, p.Missing
	case p.At.IsZero():
		return DomainPending, "control over " + d.Name + " was not looked for yet"
	case c.Source == ServerCertificate:
		return DomainReady, ""
	case c.Thumbprint == "" && c.Failures > 0:
		return DomainFailed, fmt.Sprintf("no certificate was got, in %d attempts: %s", c.Failures, c.Failure)
	case c.Thumbprint == "":
		return DomainVerified, "the certificate is being asked for"
	case now.After(c.NotAfter):
		return DomainFailed, "the certificate ended on " + c.NotAfter.UTC().Format(time.DateTime)
	case c.Failures > 0:
		return DomainReady, fmt.Sprintf("no new certificate was got, in %d attempts: %s", c.Failures, c.Failure)
	case c.Due:
		return DomainReady, "another certificate is being asked for; the one before serves until it is there"
	}
	return DomainReady, ""
}

// Served tells whether the registry answers under the name.
func (d CustomDomain) Served() bool { return !d.Proof.At.IsZero() }

// ACMEDue tells whether a certificate is to be asked for.
func (d CustomDomain) ACMEDue(now time.Time) bool {
	c := d.Certificate
	return d.Served() && c.Source == ACMECertificate && !now.Before(c.Next) && (c.Due || c.Thumbprint == "" || now.After(c.Renewal()))
}

// Validate checks the name and the source.
func (d CustomDomain) Validate() error {
	if err := CheckDomain(d.Name); err != nil {
		return err
	}
	switch d.Certificate.Source {
	case ServerCertificate, UploadedCertificate, ACMECertificate:
	default:
		return fault.New(fault.Invalid, "custom domain %s: certificate source %.20q is not Server, Upload or Acme", d.Name, d.Certificate.Source)
	}
	if d.Registry == "" || d.Proof.ID == "" || d.Proof.Value == "" {
		return fault.New(fault.Internal, "custom domain %s lacks its registry or its proof", d.Name)
	}
	return nil
}

// CheckDomain wants a host name of two or more labels in lower case, whose last is no number.
func CheckDomain(name string) error {
	wrong := fault.New(fault.Invalid, "custom domain %.80q is not valid: use a host name of two or more labels such as registry.example.com, in lower case, names "+
		"of other alphabets as xn--…, without wildcard or port", name)
	labels := strings.Split(name, ".")
	if len(name) > 253 || len(labels) < 2 {
		return wrong
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return wrong
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return wrong
	}
	return nil
}

// maxChain bounds a certificate with its chain, and a key, in bytes.
const maxChain = 64 << 10

// Certify reads a pair, holds it against the domain and the time, and tells of it. Errors: fault.Invalid.
func (p KeyPair) Certify(domain string, now time.Time) (DomainCertificate, error) {
	var c DomainCertificate
	refuse := func(format string, args ...any) (DomainCertificate, error) {
		return c, fault.New(fault.Invalid, "The certificate for %s cannot be used: %s.", domain, fmt.Sprintf(format, args...))
	}
	if len(p.Chain) > maxChain || len(p.Key) > maxChain {
		return refuse("it or its key has more than %d bytes", maxChain)
	}
	pair, err := tls.X509KeyPair([]byte(p.Chain), []byte(p.Key))
	if err != nil {
		return refuse("%s; give the certificate and its chain in PEM, leaf first, and the key that belongs to it, without a passphrase", strings.TrimPrefix(err.Error(), "tls: "))
	}
	leaf := pair.Leaf
	if err := leaf.VerifyHostname(domain); err != nil {
		return refuse("it is for %s", strings.Join(leaf.DNSNames, ", "))
	}
	if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		return refuse("it is valid from %s to %s", leaf.NotBefore.UTC().Format(time.DateTime), leaf.NotAfter.UTC().Format(time.DateTime))
	}
	for signed, i := leaf, 1; i < len(pair.Certificate); i++ {
		issuer, err := x509.ParseCertificate(pair.Certificate[i])
		if err != nil {
			return refuse("certificate %d of its chain is malformed", i+1)
		}
		if err := signed.CheckSignatureFrom(issuer); err != nil {
			return refuse("certificate %d of its chain did not sign the one before it: order them from the leaf up", i+1)
		}
		signed = issuer
	}
	sum := sha256.Sum256(leaf.Raw)
	return DomainCertificate{
		Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), Names: leaf.DNSNames, Serial: leaf.SerialNumber.Text(16),
		Thumbprint: hex.EncodeToString(sum[:]), NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
	}, nil
}

// SettleDomain promises to look for the proof of a domain and to get its certificate.
type SettleDomain struct {
	ID string `json:"id"`
}

// Kind names the handler.
func (SettleDomain) Kind() string { return "domain.settle" }

// OpenDomain reads what is sealed under DomainSecret.
func OpenDomain(sealed []byte) (s SealedDomain, err error) { return s, json.Unmarshal(sealed, &s) }

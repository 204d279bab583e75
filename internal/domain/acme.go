package domain

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// Challenges by which an authority may see that a domain leads here.
const (
	HTTPChallenge = "http-01"
	ALPNChallenge = "tls-alpn-01"
)

// issuer is certmagic, set up: it keeps the account, asks, and answers challenges. Certificates are kept elsewhere.
type issuer struct {
	config *certmagic.Config
	cache  *certmagic.Cache
	acme   *certmagic.ACMEIssuer
}

// Automatic tells whether certificates can be got. Errors: fault.Conflict.
func (s *Service) Automatic() error {
	if s.opt.ACME.Directory != "" {
		return nil
	}
	return fault.New(fault.Conflict, "This server gets no certificates by ACME: have its operator set acme.directory to the URL of an authority's directory, or upload a certificate.")
}

// acme sets certmagic up once, when the listeners are open.
func (s *Service) acme() (*issuer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.issuer != nil {
		return s.issuer, nil
	}
	plain, secure := s.opt.Listeners()
	a := s.opt.ACME
	template := certmagic.ACMEIssuer{
		CA: a.Directory, Email: a.Email, Agreed: true, TrustedRoots: a.Roots, Resolver: s.opt.Resolver, Logger: zap.NewNop(),
		DisableHTTPChallenge:    plain == "" || !s.answers(HTTPChallenge),
		DisableTLSALPNChallenge: secure == "" || !s.answers(ALPNChallenge),
	}
	if template.DisableHTTPChallenge && template.DisableTLSALPNChallenge {
		return nil, fault.New(fault.Conflict, "no listener is open for the challenges of acme.challenges: give http or https an address")
	}
	if a.KeyID != "" {
		template.ExternalAccount = &acme.EAB{KeyID: a.KeyID, MACKey: a.MAC}
	}
	// certmagic opens these ports unless somebody listens there already: this server does, and leads challenges to Handle.
	var err error
	if template.ListenHost, template.AltHTTPPort, err = listening(plain); err == nil {
		_, template.AltTLSALPNPort, err = listening(secure)
	}
	if err != nil {
		return nil, err
	}
	i := &issuer{}
	i.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return i.config, nil }, Logger: zap.NewNop(),
	})
	i.config = certmagic.New(i.cache, certmagic.Config{Storage: &storage{db: s.opt.DB}, Logger: zap.NewNop(), OCSP: certmagic.OCSPConfig{DisableStapling: true}})
	i.acme = certmagic.NewACMEIssuer(i.config, template)
	i.config.Issuers = []certmagic.Issuer{i.acme}
	s.issuer = i
	return i, nil
}

func (s *Service) answers(challenge string) bool {
	return len(s.opt.ACME.Challenges) == 0 || slices.Contains(s.opt.ACME.Challenges, challenge)
}

func listening(addr string) (host string, port int, err error) {
	if addr == "" {
		return "", 0, nil
	}
	host, text, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	return host, port, err
}

// Close ends what certmagic keeps going.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.issuer != nil {
		s.issuer.cache.Stop()
		s.issuer = nil
	}
}

// Issue gets a certificate for a domain, with a new key.
func (s *Service) Issue(ctx context.Context, domain string) (acr.KeyPair, error) {
	if err := s.Automatic(); err != nil {
		return acr.KeyPair{}, err
	}
	i, err := s.acme()
	if err != nil {
		return acr.KeyPair{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return acr.KeyPair{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return acr.KeyPair{}, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{domain}}, key)
	if err != nil {
		return acr.KeyPair{}, err
	}
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return acr.KeyPair{}, err
	}
	if err := i.acme.PreCheck(ctx, csr.DNSNames, false); err != nil {
		return acr.KeyPair{}, fmt.Errorf("%s: %w", s.opt.ACME.Directory, err)
	}
	issued, err := i.acme.Issue(ctx, csr)
	if err != nil {
		s.opt.Log.Warn("no certificate by acme", "domain", domain, "directory", s.opt.ACME.Directory, "error", err)
		return acr.KeyPair{}, fmt.Errorf("%s: %w", s.opt.ACME.Directory, err)
	}
	s.opt.Log.Info("certificate by acme", "domain", domain, "directory", s.opt.ACME.Directory)
	return acr.KeyPair{
		Chain: string(issued.Certificate),
		Key:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}, nil
}

// Protocol is what an authority asks for in a handshake that is a challenge.
const Protocol = acmez.ACMETLS1Protocol

// Challenge is the certificate that answers a challenge, where a handshake is one; else nil.
func (s *Service) Challenge(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s.opt.ACME.Directory == "" || len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != Protocol {
		return nil, nil
	}
	i, err := s.acme()
	if err != nil {
		return nil, err
	}
	return i.config.GetCertificate(hello)
}

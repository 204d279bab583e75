// Package domain does what custom domains need of the world: it looks for the proof of control over a name, by a TXT record
// or by what the name answers over HTTP, and gets certificates by ACME (RFC 8555) through certmagic, whose accounts and
// challenges it keeps sealed in the metadata, so that any node answers what another was asked for.
//
// It holds no rule: when to prove, to issue and to renew is decided in resource, and who is served under a name in serve.
package domain

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Options of the service.
type Options struct {
	DB  *meta.DB
	Log *slog.Logger
	// Own tells whether a host is one of the installation's own names, or below one.
	Own func(host string) bool
	// Proofs are the ways by which control may be shown.
	Proofs []string
	// Resolver is the DNS server to ask, as host:port; "": the system's.
	Resolver string
	// ACME is whom to ask for certificates.
	ACME ACME
	// Listeners are the addresses that this node answers at, for challenges to be led to; "" is off.
	Listeners func() (plain, secure string)
}

// ACME names a certificate authority, and the account there.
type ACME struct {
	Directory  string // URL; "": there is none
	Email      string
	KeyID, MAC string         // of an account that the authority gave, if it wants one
	Roots      *x509.CertPool // whom to trust for the directory's own certificate; nil: the system's
	Challenges []string       // http-01, tls-alpn-01; none: both
}

// Service looks for proofs and gets certificates.
type Service struct {
	opt    Options
	dns    *net.Resolver
	http   *http.Client
	mu     sync.Mutex
	issuer *issuer // nil until it is needed
}

// New makes the service.
func New(opt Options) *Service {
	s := &Service{opt: opt, dns: net.DefaultResolver}
	if opt.Resolver != "" {
		s.dns = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, opt.Resolver)
		}}
	}
	s.http = &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{ // not by a proxy: what answers is to be the domain
			DialContext:       (&net.Dialer{Timeout: 5 * time.Second, Resolver: s.dns}).DialContext,
			DisableKeepAlives: true, ResponseHeaderTimeout: 5 * time.Second, MaxResponseHeaderBytes: 32 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

// Own tells whether a host is one of the installation's own names, or below one.
func (s *Service) Own(host string) bool { return s.opt.Own(host) }

// Prove looks for the proof of control over a domain, and tells by which way it was found. Errors: fault.NotFound, with what
// was found instead.
func (s *Service) Prove(ctx context.Context, domain string, proof acr.DomainProof) (method string, err error) {
	var missing []string
	for _, way := range s.opt.Proofs {
		look := s.lookUp
		if way == acr.HTTPProof {
			look = s.fetch
		}
		found := look(ctx, domain, proof)
		if found == "" {
			return way, nil
		}
		missing = append(missing, found)
	}
	return "", fault.New(fault.NotFound, "%s", strings.Join(missing, "; "))
}

// lookUp looks for the TXT record; it tells what is wrong with it.
func (s *Service) lookUp(ctx context.Context, domain string, proof acr.DomainProof) string {
	name := acr.ProofRecord(domain)
	found, err := s.dns.LookupTXT(ctx, name+".")
	if len(found) == 0 && err != nil {
		return fmt.Sprintf("%s has no TXT record that can be read (%s)", name, reason(err))
	}
	for _, text := range found {
		if strings.TrimSpace(text) == proof.Value {
			return ""
		}
	}
	return fmt.Sprintf("%s has a TXT record, but none is the expected value", name)
}

// fetch looks for the answer over HTTP; it tells what is wrong with it. What was answered is not repeated.
func (s *Service) fetch(ctx context.Context, domain string, proof acr.DomainProof) string {
	at := "http://" + domain + acr.ProofPath + proof.ID
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return fmt.Sprintf("%s does not answer (%s)", at, reason(err))
	}
	defer resp.Body.Close()
	body := make([]byte, 1<<10)
	n := 0
	for n < len(body) && err == nil {
		var more int
		more, err = resp.Body.Read(body[n:])
		n += more
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Sprintf("%s answers %s", at, resp.Status)
	case strings.TrimSpace(string(body[:n])) != proof.Value:
		return at + " does not answer the expected value"
	}
	return ""
}

// reason is the innermost part of what the network said.
func reason(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}

// Handle answers what looks for a proof, or is an ACME challenge, and tells whether it was one.
func (s *Service) Handle(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/.well-known/") {
		return false
	}
	if id, ok := strings.CutPrefix(r.URL.Path, acr.ProofPath); ok {
		return s.show(w, r, id)
	}
	if s.opt.ACME.Directory == "" || !certmagic.LooksLikeHTTPChallenge(r) {
		return false
	}
	i, err := s.acme()
	return err == nil && i.acme.HandleHTTPChallenge(w, r)
}

// show answers with the proof of the domain that is asked.
func (s *Service) show(w http.ResponseWriter, r *http.Request, id string) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	var found []acr.CustomDomain
	err := s.opt.DB.Look(r.Context(), func(tx *meta.Tx) (err error) {
		found, err = meta.Find[acr.CustomDomain](tx, acr.DomainKey(strings.TrimSuffix(host, ".")), 1)
		return err
	})
	if err != nil || len(found) == 0 || found[0].Proof.ID != id {
		return false
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(found[0].Proof.Value)) // who asked is gone, where it fails
	return true
}

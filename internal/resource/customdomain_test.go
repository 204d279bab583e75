package resource_test

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/domain"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/resource"
)

// zone is a DNS server that knows TXT records.
type zone struct {
	mu   sync.Mutex
	text map[string]string
	at   string
}

func startZone(t *testing.T) *zone {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{text: map[string]string{}, at: conn.LocalAddr().String()}
	server := &dns.Server{PacketConn: conn, Handler: z}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return z
}

func (z *zone) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(r)
	text, ok := z.text[r.Question[0].Name]
	if ok && r.Question[0].Qtype == dns.TypeTXT {
		m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{text}}}
	} else {
		m.Rcode = dns.RcodeNameError
	}
	_ = w.WriteMsg(m) // who asked asks again
}

func (z *zone) set(name, text string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.text[name+"."] = text
}

func openWithDomains(t *testing.T, db *meta.DB, z *zone) *resource.Service {
	t.Helper()
	world := domain.New(domain.Options{
		DB: db, Proofs: []string{acr.DNSProof}, Resolver: z.at, Own: func(host string) bool { return strings.HasSuffix(host, ".acre.localhost") },
	})
	t.Cleanup(world.Close)
	s, err := resource.New(t.Context(), resource.Options{DB: db, Registries: auth.NewRegistries(db), Domains: world})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// source has a domain use the certificate of a source.
func source(name acr.CertificateSource) func(*acr.CustomDomain, bool) error {
	return func(d *acr.CustomDomain, _ bool) error {
		d.Certificate.Source = name
		return nil
	}
}

// A domain is one registry's, in one of the tiers that have them; it is served once its record says so, and anybody's again
// when it, or its registry, is gone.
func TestCustomDomain(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		z := startZone(t)
		s, ctx := openWithDomains(t, db, z), system(t)
		for _, name := range []string{"alpha", "bravo"} {
			if _, err := s.CreateRegistry(ctx, name, resource.Settings{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.CreateRegistry(ctx, "basic", resource.Settings{SKU: to("Basic")}); err != nil {
			t.Fatal(err)
		}
		at := func(registry, name string) arm.ID { return s.RegistryID(registry).Child("customDomains", name) }
		put := func(id arm.ID, edit func(*acr.CustomDomain, bool) error) error {
			_, _, err := s.CustomDomains.Put(ctx, id, resource.CreateOrUpdate, edit)
			return err
		}
		const name = "registry.example.com"
		for want, err := range map[string]error{
			"they need Premium": put(at("basic", name), source("")), "two or more labels": put(at("alpha", "com"), source("")),
			"own names": put(at("alpha", "x.acre.localhost"), source("")), "acme.directory": put(at("alpha", name), source(acr.ACMECertificate)),
			"needs a certificate": put(at("alpha", name), source(acr.UploadedCertificate)), "is not Server": put(at("alpha", name), source("Else")),
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("want %q: %v", want, err)
			}
		}
		if err := put(at("alpha", "Registry.Example.com"), source("")); err != nil {
			t.Fatal(err)
		}
		if err := put(at("bravo", name), source("")); !errors.Is(err, fault.Exists) {
			t.Errorf("of two registries: %v", err)
		}
		state := func() (acr.CustomDomain, acr.DomainState) {
			kept, err := s.CustomDomains.Get(ctx, at("alpha", name))
			if err != nil {
				t.Fatal(err)
			}
			now, _ := s.DomainState(kept.Doc)
			return kept.Doc, now
		}
		if err := s.SettleDomains(ctx); err != nil {
			t.Fatal(err)
		}
		d, now := state()
		if now != acr.DomainPending || d.Name != name || d.Registry != "alpha" || !strings.Contains(d.Proof.Missing, "_acre-challenge."+name) {
			t.Errorf("without a record: %s, %+v", now, d)
		}
		z.set(acr.ProofRecord(name), "something else")
		if kept, err := s.VerifyDomain(ctx, at("alpha", name)); err != nil || kept.Doc.Served() || !strings.Contains(kept.Doc.Proof.Missing, "none is the expected value") {
			t.Errorf("with a wrong record: %v, %+v", err, kept.Doc.Proof)
		}
		z.set(acr.ProofRecord(name), d.Proof.Value)
		if err := s.SettleDomains(ctx); err != nil {
			t.Fatal(err)
		}
		if d, now := state(); now != acr.DomainReady || d.Proof.Method != acr.DNSProof {
			t.Errorf("with the record: %s, %+v", now, d)
		}
		if _, err := s.CustomDomains.Delete(ctx, at("alpha", name)); err != nil {
			t.Fatal(err)
		}
		if err := put(at("bravo", name), source("")); err != nil {
			t.Errorf("once it is deleted: %v", err)
		}
		if _, err := s.Registries.Delete(ctx, s.RegistryID("bravo")); err != nil {
			t.Fatal(err)
		}
		if err := put(at("alpha", name), source("")); err != nil {
			t.Errorf("once its registry is deleted: %v", err)
		}
	})
}

// Who may not is refused, and what is not there is said so.
func TestCustomDomainRights(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		s := openWithDomains(t, db, startZone(t))
		id := s.RegistryID("alpha").Child("customDomains", "a.example.com")
		for i, err := range append(all(t.Context(), s.CustomDomains, id, s.RegistryID("alpha").String()), second(s.VerifyDomain(t.Context(), id)), s.SettleDomains(t.Context())) {
			if !errors.Is(err, fault.Unauthenticated) && !errors.Is(err, fault.Denied) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if _, err := s.VerifyDomain(system(t), id); !errors.Is(err, fault.NotFound) {
			t.Errorf("of no registry: %v", err)
		}
	})
}

package serve

import (
	"context"
	"crypto/tls"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/domain"
	"github.com/acre-registry/acre/internal/meta"
)

// domainBook tells who answers under custom domains, and with which certificate. What it says is at most as old as
// domainsChecked: that often it asks the store whether anything has changed, and reads again only then.
type domainBook struct {
	db *meta.DB

	reading sync.Mutex // held by who asks the store
	page    atomic.Pointer[domainPage]
}

// domainPage is what the book said at a time.
type domainPage struct {
	asked      time.Time
	generation int64
	byHost     map[string]*customDomain
}

// customDomain is a name under which a registry answers.
type customDomain struct {
	registry    string
	thumbprint  string
	certificate *tls.Certificate // nil: what the server presents by itself
}

const (
	domainsChecked = time.Second
	domainsWait    = 5 * time.Second // for the store
	domainsKept    = 10000           // what one process serves at most
)

// find gives the domain of a host in lower case, or nil. One asks the store, while others go by what was known; where the
// store does not answer, all do.
func (b *domainBook) find(host string) *customDomain {
	page := b.page.Load()
	switch {
	case page == nil:
		b.reading.Lock()
	case page.fresh(b.db.Now()) || !b.reading.TryLock():
		return page.byHost[host]
	}
	defer b.reading.Unlock()
	if page = b.page.Load(); page == nil || !page.fresh(b.db.Now()) {
		page = b.turn(page)
	}
	return page.byHost[host]
}

func (p *domainPage) fresh(now time.Time) bool {
	age := now.Sub(p.asked)
	return age >= 0 && age < domainsChecked
}

// turn asks the store for what has changed since was.
func (b *domainBook) turn(was *domainPage) *domainPage {
	ctx, stop := context.WithTimeout(context.Background(), domainsWait)
	defer stop()
	next := domainPage{}
	if was != nil {
		next = *was
	}
	err := b.db.View(ctx, next.read)
	next.asked = b.db.Now()
	if err == nil || was != nil {
		b.page.Store(&next)
	}
	return &next
}

// read changes nothing where it fails.
func (p *domainPage) read(tx *meta.Tx) error {
	generation, err := tx.Generation()
	if err != nil || p.byHost != nil && generation == p.generation {
		return err
	}
	list, err := meta.List[acr.CustomDomain](tx, "", domainsKept)
	if err != nil {
		return err
	}
	byHost := make(map[string]*customDomain, len(list))
	for _, d := range list {
		if !d.Served() {
			continue
		}
		known := &customDomain{registry: d.Registry, thumbprint: d.Certificate.Thumbprint}
		if was := p.byHost[d.Name]; was != nil && was.thumbprint == known.thumbprint {
			known.certificate = was.certificate
		} else if known.thumbprint != "" {
			if known.certificate, err = sealedCertificate(tx, d.Name); err != nil {
				return err
			}
		}
		byHost[d.Name] = known
	}
	p.byHost, p.generation = byHost, generation
	return nil
}

func sealedCertificate(tx *meta.Tx, name string) (*tls.Certificate, error) {
	secret, err := tx.Secret(acr.DomainSecret(name))
	if err != nil {
		return nil, err
	}
	sealed, err := acr.OpenDomain(secret.Value)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(sealed.Chain), []byte(sealed.Key))
	return &pair, err
}

// openDomains makes what proves control over domains and gets their certificates, and the book of those that are served.
func (s *Server) openDomains() error {
	roots, err := s.config.acmeRoots()
	if err != nil {
		return err
	}
	mac, err := s.config.ACME.MACKey.Read()
	if err != nil {
		return err
	}
	a := s.config.ACME
	s.domainBook = &domainBook{db: s.db}
	s.hosts.custom = func(host string) string {
		if d := s.domainBook.find(host); d != nil {
			return d.registry
		}
		return ""
	}
	s.domains = domain.New(domain.Options{
		DB: s.db, Log: s.log.Logger, Own: s.ownDomain, Proofs: s.config.Domains.Proofs, Resolver: s.config.Domains.Resolver,
		ACME: domain.ACME{Directory: a.Directory, Email: a.Email, KeyID: a.KeyID, MAC: mac, Roots: roots, Challenges: a.Challenges},
		Listeners: func() (plain, secure string) {
			at := s.listeners.Addresses()
			return at.HTTP, at.HTTPS
		},
	})
	return nil
}

// ownDomain tells whether a host is one of the installation's own, or may become one: nobody can add it.
func (s *Server) ownDomain(host string) bool {
	if _, named := s.hosts.names[host]; named {
		return true
	}
	for suffix := range s.hosts.below() {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// certificateFor presents a custom domain's certificate or a challenge's where one is asked for, else what others gives.
func (s *Server) certificateFor(others certificateSource) certificateSource {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c, err := s.domains.Challenge(hello); c != nil || err != nil {
			return c, err
		}
		if host := bareHost(hello.ServerName); host != "" {
			if d := s.domainBook.find(host); d != nil && d.certificate != nil {
				return d.certificate, nil
			}
		}
		return others(hello)
	}
}

// certificateSource is a tls.Config's GetCertificate.
type certificateSource = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

package resource

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Domains is what custom domains need of the world.
type Domains interface {
	// Own tells whether a host is one of the installation's own names, or below one.
	Own(host string) bool
	// Prove looks for the proof of control over a domain, and tells by which way it was found. Errors: fault.NotFound, with
	// what was found instead.
	Prove(ctx context.Context, domain string, proof acr.DomainProof) (method string, err error)
	// Automatic tells whether certificates can be got; else how to have that. Errors: fault.Conflict.
	Automatic() error
	// Issue gets a certificate for a domain.
	Issue(ctx context.Context, domain string) (acr.KeyPair, error)
}

const (
	domainsPerRegistry = 100
	domainsAtOnce      = 8                // that are settled side by side
	proofTime          = 15 * time.Second // to look for a proof
	issueTime          = 5 * time.Minute  // to get a certificate
	issueFirst         = time.Minute      // until a failed attempt is repeated; twice as long after each
	issueLongest       = 12 * time.Hour
)

func (s *Service) customDomains() *Kind[acr.CustomDomain] {
	return &Kind[acr.CustomDomain]{
		s: s, provider: arm.Provider, types: []string{"registries", "customDomains"},
		name:     func(d acr.CustomDomain) string { return d.Name },
		complete: s.completeDomain,
		check:    s.checkDomain,
		release: func(c *Change[acr.CustomDomain]) error {
			return c.tx.DeleteSecret(acr.DomainSecret(c.Old.Name))
		},
	}
}

// completeDomain settles who shows what, and seals a certificate that was brought.
func (s *Service) completeDomain(c *Change[acr.CustomDomain]) error {
	d, now := &c.New, s.opt.DB.Now().UTC()
	s.stamp(c.ctx, &d.System)
	if c.Old == nil {
		if s.opt.Domains == nil {
			return fault.New(notAvailable, "Custom domains are not available on this server.")
		}
		if err := needsPremium(c.In, "Custom domains"); err != nil {
			return err
		}
		d.Name, d.Registry = strings.ToLower(c.ID.Name()), c.In.Key()
		d.Proof = acr.DomainProof{ID: strings.ToLower(rand.Text()), Value: strings.ToLower(rand.Text() + rand.Text()), Since: now}
		if err := acr.CheckDomain(d.Name); err != nil {
			return err
		}
		if s.opt.Domains.Own(d.Name) {
			return fault.New(domainReserved, "The domain '%s' is one of this server's own names, or below one: it needs no adding.", d.Name)
		}
	}
	return s.completeCertificate(c, now)
}

func (s *Service) completeCertificate(c *Change[acr.CustomDomain], now time.Time) error {
	d, cert := &c.New, &c.New.Certificate
	sealed := acr.SealedDomain{Owner: c.In.UID}
	if cert.Source == "" {
		cert.Source = acr.ServerCertificate
	}
	changed := c.Old == nil || c.Old.Certificate.Source != cert.Source
	switch {
	case d.Upload != nil && cert.Source != acr.UploadedCertificate:
		return fault.New(fault.Invalid, "The custom domain '%s' has the certificate source %s: a certificate is taken with the source Upload only.", d.Name, cert.Source)
	case d.Upload != nil:
		next, err := d.Upload.Certify(d.Name, now)
		if err != nil {
			return err
		}
		*cert, sealed.KeyPair = next, *d.Upload
		cert.Source = acr.UploadedCertificate
	case !changed:
		return nil
	case cert.Source == acr.UploadedCertificate:
		return fault.New(fault.Invalid, "The custom domain '%s' needs a certificate: give chain and key, in PEM.", d.Name)
	case cert.Source == acr.ACMECertificate:
		if err := s.opt.Domains.Automatic(); err != nil {
			return err
		}
		if c.Old != nil && cert.Thumbprint != "" { // which serves until the other is there
			cert.Due, cert.Failures, cert.Failure, cert.Next = true, 0, "", time.Time{}
			return nil
		}
		fallthrough
	default:
		*cert = acr.DomainCertificate{Source: cert.Source}
	}
	text, err := json.Marshal(sealed)
	if err != nil {
		return err
	}
	if c.Old != nil {
		return c.tx.PutSecret(acr.DomainSecret(d.Name), text)
	}
	claimed, err := c.tx.NewSecret(acr.DomainSecret(d.Name), text)
	if err == nil && !claimed {
		err = fault.New(domainInUse, "The domain '%s' is already added to a registry of this server: delete it there first.", d.Name)
	}
	return err
}

// checkDomain bounds the number, and has what is left to be done done.
func (s *Service) checkDomain(c *Change[acr.CustomDomain]) error {
	if c.Old == nil {
		if err := checkLimit[acr.CustomDomain](c.tx, c.In, "custom domains", domainsPerRegistry); err != nil {
			return err
		}
	}
	return s.settleSoon(c.tx, c.ID)
}

func (s *Service) settleSoon(tx *meta.Tx, id arm.ID) error {
	if s.opt.Wake != nil {
		tx.OnCommit(s.opt.Wake)
	}
	return tx.Enqueue(acr.SettleDomain{ID: id.String()})
}

// releaseDomains gives up the domains of a registry that goes away.
func releaseDomains(tx *meta.Tx, in Parent) error {
	list, err := tx.Secrets(acr.DomainSecrets)
	if err != nil {
		return err
	}
	for _, secret := range list {
		sealed, err := acr.OpenDomain(secret.Value)
		if err != nil {
			return err
		}
		if sealed.Owner != in.UID {
			continue
		}
		if err := tx.DeleteSecret(secret.Name); err != nil {
			return err
		}
	}
	return nil
}

// DomainState tells how far a domain is, and why it is no further.
func (s *Service) DomainState(d acr.CustomDomain) (acr.DomainState, string) {
	return d.State(s.opt.DB.Now())
}

// VerifyDomain looks for the proof of a domain now; what follows from it is done soon. Errors: fault.NotFound.
func (s *Service) VerifyDomain(ctx context.Context, id arm.ID) (kept Kept[acr.CustomDomain], err error) {
	if err := control(ctx, id.String(), s.CustomDomains.Operation("write")); err != nil {
		return kept, err
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		if kept, err = s.CustomDomains.get(tx, id); err != nil {
			return err
		}
		return s.noteDomain(tx, id, kept.Doc, func(d *acr.CustomDomain) error {
			if d.Proof.At.IsZero() {
				d.Proof.Since = s.opt.DB.Now().UTC()
			}
			d.Certificate.Next = time.Time{}
			return s.settleSoon(tx, id)
		})
	})
	if err != nil {
		return kept, err
	}
	if err := s.prove(ctx, id, kept.Doc); err != nil {
		return kept, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		kept, err = s.CustomDomains.get(tx, id)
		return err
	})
	return kept, err
}

// SettleDomain goes on with one domain: the job queue calls it, until it returns nil.
func (s *Service) SettleDomain(ctx context.Context, args json.RawMessage) error {
	var promised acr.SettleDomain
	if err := json.Unmarshal(args, &promised); err != nil {
		return err
	}
	id, err := arm.ParseID(promised.ID)
	if err != nil {
		return err
	}
	return s.settleDomain(auth.As(ctx, auth.System("domain")), id)
}

// SettleDomains goes on with every domain that waits for its proof, or whose certificate is due.
func (s *Service) SettleDomains(ctx context.Context) error {
	if err := control(ctx, s.Scope(), s.CustomDomains.Operation("write")); err != nil {
		return err
	}
	for after := ""; ; {
		var list []acr.CustomDomain
		var ids []arm.ID
		err := s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
			if list, err = meta.List[acr.CustomDomain](tx, after, MaxPage); err != nil {
				return err
			}
			ids, err = s.domainIDs(tx, list)
			return err
		})
		if err != nil {
			return err
		}
		if err := s.settleAll(ctx, list, ids); err != nil || len(list) < MaxPage {
			return err
		}
		after = ids[len(ids)-1].Key()
	}
}

func (s *Service) domainIDs(tx *meta.Tx, list []acr.CustomDomain) ([]arm.ID, error) {
	ids := make([]arm.ID, len(list))
	for i, d := range list {
		found, err := meta.FindIDs[acr.CustomDomain](tx, acr.DomainKey(d.Name), 1)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			ids[i] = found[0]
		}
	}
	return ids, nil
}

func (s *Service) settleAll(ctx context.Context, list []acr.CustomDomain, ids []arm.ID) error {
	now := s.opt.DB.Now()
	var group errgroup.Group
	group.SetLimit(domainsAtOnce)
	for i, d := range list {
		state, _ := d.State(now)
		if state == acr.DomainPending || d.ACMEDue(now) {
			group.Go(func() error { return s.settleDomain(ctx, ids[i]) })
		}
	}
	return group.Wait()
}

func (s *Service) settleDomain(ctx context.Context, id arm.ID) error {
	d, err := s.domain(ctx, id)
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil && !d.Served() {
		if err = s.prove(ctx, id, d); err == nil {
			d, err = s.domain(ctx, id)
		}
	}
	if err != nil {
		return err
	}
	return s.issue(ctx, id, d)
}

func (s *Service) domain(ctx context.Context, id arm.ID) (d acr.CustomDomain, err error) {
	err = s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		d, _, err = meta.Get[acr.CustomDomain](tx, id)
		return err
	})
	return d, err
}

// prove looks for the proof of a domain, and notes what it found.
func (s *Service) prove(ctx context.Context, id arm.ID, d acr.CustomDomain) error {
	if d.Served() {
		return nil
	}
	asking, stop := context.WithTimeout(ctx, proofTime)
	method, missing := s.opt.Domains.Prove(asking, d.Name, d.Proof)
	stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		return s.noteDomain(tx, id, d, func(d *acr.CustomDomain) error {
			if missing != nil {
				d.Proof.Missing = fault.Of(missing).Message
				return nil
			}
			d.Proof.At, d.Proof.Method, d.Proof.Missing = s.opt.DB.Now().UTC(), method, ""
			return nil
		})
	})
}

// issue gets a certificate where one is due. Whoever begins notes it, so that nobody else does meanwhile.
func (s *Service) issue(ctx context.Context, id arm.ID, d acr.CustomDomain) error {
	now := s.opt.DB.Now().UTC()
	began := false
	err := s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		began = false
		return s.noteDomain(tx, id, d, func(d *acr.CustomDomain) error {
			if began = d.ACMEDue(now); began {
				d.Certificate.Next = now.Add(2 * issueTime)
			}
			return nil
		})
	})
	if err != nil || !began {
		return err
	}
	asking, stop := context.WithTimeout(ctx, issueTime)
	pair, failed := s.opt.Domains.Issue(asking, d.Name)
	stop()
	var next acr.DomainCertificate
	if failed == nil {
		next, failed = pair.Certify(d.Name, s.opt.DB.Now())
	}
	return s.opt.DB.Update(context.WithoutCancel(ctx), func(tx *meta.Tx) error {
		return s.noteDomain(tx, id, d, func(d *acr.CustomDomain) error {
			cert := &d.Certificate
			if cert.Source != acr.ACMECertificate {
				return nil // somebody chose another one meanwhile
			}
			if failed != nil {
				wait := min(issueFirst<<min(cert.Failures, 16), issueLongest)
				cert.Failures, cert.Failure, cert.Next = cert.Failures+1, clip(failed.Error(), 2000), s.opt.DB.Now().UTC().Add(wait)
				return nil
			}
			*cert = next
			cert.Source = acr.ACMECertificate
			return s.sealPair(tx, d.Name, pair)
		})
	})
}

func clip(text string, bytes int) string {
	return strings.ToValidUTF8(text[:min(len(text), bytes)], "")
}

func (s *Service) sealPair(tx *meta.Tx, domain string, pair acr.KeyPair) error {
	secret, err := tx.Secret(acr.DomainSecret(domain))
	if err != nil {
		return err
	}
	sealed, err := acr.OpenDomain(secret.Value)
	if err != nil {
		return err
	}
	sealed.KeyPair = pair
	text, err := json.Marshal(sealed)
	if err != nil {
		return err
	}
	return tx.PutSecret(acr.DomainSecret(domain), text)
}

// noteDomain changes a domain that is still the one that was read, and does nothing where it is not.
func (s *Service) noteDomain(tx *meta.Tx, id arm.ID, was acr.CustomDomain, edit func(d *acr.CustomDomain) error) error {
	d, version, err := meta.Hold[acr.CustomDomain](tx, id)
	if errors.Is(err, fault.NotFound) || err == nil && d.Proof.ID != was.Proof.ID {
		return nil
	}
	if err != nil {
		return err
	}
	before, _ := json.Marshal(d)
	if err := edit(&d); err != nil {
		return err
	}
	if after, _ := json.Marshal(d); string(after) == string(before) {
		return nil
	}
	return meta.Put(tx, id, d, version)
}

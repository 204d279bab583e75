package resource

import (
	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// issuers are acre's own: whose tokens are trusted beside the installation's.
func (s *Service) issuers() *Kind[acr.TrustedIssuer] {
	return &Kind[acr.TrustedIssuer]{
		s: s, provider: "Acre.Identity", types: []string{"trustedIssuers"},
		name: func(t acr.TrustedIssuer) string { return t.Name }, tenant: true,
		complete: func(c *Change[acr.TrustedIssuer]) error {
			if c.Old == nil {
				c.New.Name, c.New.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
			}
			return nil
		},
		check: func(c *Change[acr.TrustedIssuer]) error {
			same, err := meta.Find[acr.TrustedIssuer](c.tx, "iss:"+c.New.Issuer, 2)
			if err == nil && len(same) > 1 {
				return fault.New(fault.Conflict, "issuer %.200s is trusted already, as %s and %s: change that one", c.New.Issuer, same[0].Name, same[1].Name)
			}
			return err
		},
		release: func(*Change[acr.TrustedIssuer]) error { return nil },
	}
}

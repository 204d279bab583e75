package directory

import (
	"context"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/meta"
)

var _ auth.SecretHolder = (*Service)(nil)

// Operations of the audit about secrets that were found where they should not be.
const (
	leakFound   acr.AuditOperation = "Microsoft.Graph/applications/leakedCredentials/found"
	leakRevoked acr.AuditOperation = "Microsoft.Graph/applications/leakedCredentials/revoked"
)

// Leaked finds which of some values are generated secrets of applications that are good, and removes them where it is asked to:
// see auth.Service.Leaked. Errors: fault.Denied.
func (s *Service) Leaked(ctx context.Context, values []string, revoke bool) ([]auth.Leak, error) {
	if err := s.mayChange(ctx, "applications", "write"); err != nil {
		return nil, err
	}
	var out []auth.Leak
	search := func(tx *meta.Tx) error {
		out = nil
		for _, value := range values {
			found, err := s.leaked(tx, value, revoke)
			if err != nil {
				return err
			}
			out = append(out, found...)
		}
		return nil
	}
	if len(values) == 0 {
		return nil, nil
	}
	return out, s.change(ctx, search)
}

// leaked is whose secrets a value is.
func (s *Service) leaked(tx *meta.Tx, value string, revoke bool) ([]auth.Leak, error) {
	apps, err := meta.Find[acr.Application](tx, acr.SecretKeyPrefix+acr.SecretHash(value), 10)
	if err != nil {
		return nil, err
	}
	var out []auth.Leak
	for _, found := range apps {
		app, version, err := get[acr.Application](tx, "applications", found.ID)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(app.Secrets, func(c acr.ClientSecret) bool { return acr.VerifySecret(c.Verifier, value) })
		if i < 0 || !s.opt.DB.Now().Before(app.Secrets[i].End) {
			continue
		}
		at := acr.DirectoryID("applications", app.ID)
		leak := auth.Leak{Kind: "client", Name: app.AppID, Credential: app.Secrets[i].KeyID, Hint: value[:3], Resource: at.String(), Revoked: revoke}
		row := &acr.AuditRow{OperationName: leakFound, Reason: strings.ToLower(leak.Credential)}
		if revoke {
			row.OperationName = leakRevoked
			app.Secrets = slices.Delete(slices.Clone(app.Secrets), i, i+1)
			if err := meta.Put(tx, at, app, version); err != nil {
				return nil, err
			}
		}
		if err := tx.Audit(at, row); err != nil {
			return nil, err
		}
		out = append(out, leak)
	}
	return out, nil
}

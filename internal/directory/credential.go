package directory

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// NewSecret is a secret to be made for an application.
type NewSecret struct {
	DisplayName string
	Start, End  time.Time // zero: now, in two years
	Replace     bool      // the secrets that there are go
	Value       string    // "" is a generated one; only the server itself chooses
}

// AddSecret makes a secret for an application (by object ID); value is shown this once. Errors: fault.NotFound, Invalid,
// Denied.
func (s *Service) AddSecret(ctx context.Context, id string, n NewSecret) (secret acr.ClientSecret, value string, err error) {
	now := s.opt.DB.Now().UTC()
	if n.Start.IsZero() {
		n.Start = now
	}
	if n.End.IsZero() {
		n.End = n.Start.AddDate(2, 0, 0)
	}
	if !n.End.After(n.Start) {
		return secret, "", fault.New(fault.Invalid, "the secret would end at %s, before it begins", n.End.Format(time.RFC3339))
	}
	verifier, hash, value := "", "", n.Value
	if value == "" {
		value = acr.NewClientSecret()
		verifier, hash = acr.SecretVerifier(value), acr.SecretHash(value)
	} else {
		if err := system(ctx); err != nil {
			return secret, "", err
		}
		verifier = acr.PasswordVerifier(value)
	}
	secret = acr.ClientSecret{KeyID: uuid.NewString(), DisplayName: n.DisplayName, Hint: value[:min(3, len(value))], Verifier: verifier, Hash: hash, Start: n.Start.UTC(), End: n.End.UTC()}
	_, err = s.updateApplication(ctx, id, func(a *acr.Application) error {
		if n.Replace {
			a.Secrets = nil
		}
		a.Secrets = append(a.Secrets, secret)
		return nil
	})
	if err != nil {
		return acr.ClientSecret{}, "", err
	}
	secret.Verifier, secret.Hash = "", ""
	return secret, value, nil
}

// RemoveSecret removes a secret; tokens that were asked for with it hold no more. Errors: fault.NotFound, Denied.
func (s *Service) RemoveSecret(ctx context.Context, id, keyID string) error {
	_, err := s.updateApplication(ctx, id, func(a *acr.Application) error {
		n := len(a.Secrets)
		a.Secrets = slices.DeleteFunc(a.Secrets, func(sec acr.ClientSecret) bool { return strings.EqualFold(sec.KeyID, keyID) })
		if len(a.Secrets) == n {
			return fault.New(fault.NotFound, "no password credential found with keyId %.100s", keyID)
		}
		return nil
	})
	return err
}

// NewCertificate is a certificate with which an application will sign.
type NewCertificate struct {
	KeyID       string // of one that is there already, or "" for a new one
	DisplayName string
	Certificate []byte // DER, or PEM
	Start, End  time.Time
}

// maxCertificate bounds a certificate, in bytes.
const maxCertificate = 16 << 10

// parse reads the certificate. Its key must be one that assertions are signed with.
func (n NewCertificate) parse() (acr.ClientCertificate, error) {
	der := n.Certificate
	if block, _ := pem.Decode(bytes.TrimSpace(der)); block != nil && block.Type == "CERTIFICATE" {
		der = block.Bytes
	}
	crt, err := x509.ParseCertificate(der)
	if err != nil || len(der) > maxCertificate {
		return acr.ClientCertificate{}, fault.New(fault.Invalid, "key credential %.60q holds no certificate: give one, DER or PEM", n.DisplayName)
	}
	switch key := crt.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return acr.ClientCertificate{}, fault.New(fault.Invalid, "the certificate's key has %d bits: 2048 are needed", key.N.BitLen())
		}
	case *ecdsa.PublicKey:
	default:
		return acr.ClientCertificate{}, fault.New(fault.Invalid, "the certificate's key is neither RSA nor of an elliptic curve")
	}
	c := acr.ClientCertificate{KeyID: cmp.Or(strings.ToLower(n.KeyID), uuid.NewString()), DisplayName: cmp.Or(n.DisplayName, crt.Subject.String()),
		Certificate: der, Start: crt.NotBefore.UTC(), End: crt.NotAfter.UTC()}
	if n.Start.After(c.Start) {
		c.Start = n.Start.UTC()
	}
	if !n.End.IsZero() && n.End.Before(c.End) {
		c.End = n.End.UTC()
	}
	return c, nil
}

// AddCertificate has an application sign with one more certificate. Errors: fault.NotFound, Invalid, Denied.
func (s *Service) AddCertificate(ctx context.Context, id string, n NewCertificate) (acr.ClientCertificate, error) {
	c, err := n.parse()
	if err != nil {
		return acr.ClientCertificate{}, err
	}
	_, err = s.updateApplication(ctx, id, func(a *acr.Application) error {
		a.Certificates = append(a.Certificates, c)
		return nil
	})
	return c, err
}

// RemoveCertificate is the reverse of AddCertificate. Errors: fault.NotFound, Denied.
func (s *Service) RemoveCertificate(ctx context.Context, id, keyID string) error {
	_, err := s.updateApplication(ctx, id, func(a *acr.Application) error {
		n := len(a.Certificates)
		a.Certificates = slices.DeleteFunc(a.Certificates, func(c acr.ClientCertificate) bool { return strings.EqualFold(c.KeyID, keyID) })
		if len(a.Certificates) == n {
			return fault.New(fault.NotFound, "no key credential found with keyId %.100s", keyID)
		}
		return nil
	})
	return err
}

func checkSubjects(list []acr.CertificateSubject) error {
	for _, sub := range list {
		authority, err := x509.ParseCertificate(sub.Authority)
		if err != nil || !authority.IsCA || sub.Name == "" {
			return fault.New(fault.Invalid, "trusted subject %.60q needs a name and the certificate of an authority", sub.Name)
		}
	}
	return nil
}

// subjectKey is the credential ID of a certificate that is trusted by its subject.
func subjectKey(sub acr.CertificateSubject) string {
	return "subject:" + sub.Name + ":" + thumbprint(sub.Authority)
}

// federatedKey is the credential ID of a federated credential: one that is changed to trust somebody else is another.
func federatedKey(f acr.FederatedCredential) string {
	return f.ID + ":" + hashed(f.Issuer + "\x00" + f.Subject)[:16]
}

// credentialIDs are the IDs of all that an application can prove itself with.
func credentialIDs(a acr.Application) []string {
	var out []string
	for _, c := range a.Secrets {
		out = append(out, c.KeyID)
	}
	for _, c := range a.Certificates {
		out = append(out, c.KeyID)
	}
	for _, f := range a.Federated {
		out = append(out, federatedKey(f))
	}
	for _, sub := range a.Subjects {
		out = append(out, subjectKey(sub))
	}
	return out
}

// maxFederated is how many federated credentials an application may have, as with the real service.
const maxFederated = 20

// PutFederated adds a federated credential to an application (by object ID), or replaces that of the same ID or name.
// Errors: fault.NotFound, Exists, Invalid, Denied.
func (s *Service) PutFederated(ctx context.Context, id string, f acr.FederatedCredential) (acr.FederatedCredential, error) {
	_, err := s.updateApplication(ctx, id, func(a *acr.Application) (err error) {
		a.Federated, err = s.putFederated(a.Federated, &f)
		return err
	})
	return f, err
}

func (s *Service) putFederated(list []acr.FederatedCredential, f *acr.FederatedCredential) ([]acr.FederatedCredential, error) {
	if err := s.issuers.checkURL(f.Issuer); err != nil {
		return nil, err
	}
	list = slices.Clone(list)
	i := slices.IndexFunc(list, func(o acr.FederatedCredential) bool {
		return f.ID != "" && strings.EqualFold(o.ID, f.ID) || f.ID == "" && o.Name == f.Name
	})
	if slices.ContainsFunc(list, func(o acr.FederatedCredential) bool {
		return o.Issuer == f.Issuer && o.Subject == f.Subject && (i < 0 || o.ID != list[i].ID)
	}) {
		return nil, fault.New(fault.Exists, "federatedIdentityCredential with the issuer %s and subject %.200s already exists", f.Issuer, f.Subject)
	}
	if i >= 0 {
		f.ID, f.Name = list[i].ID, list[i].Name
		list[i] = *f
		return list, nil
	}
	if f.ID != "" {
		return nil, missing("federatedIdentityCredentials", f.ID)
	}
	if len(list) >= maxFederated {
		return nil, fault.New(fault.Disallowed, "%d federated credentials are there already, and no more are allowed", len(list))
	}
	f.ID = uuid.NewString()
	return append(list, *f), nil
}

// RemoveFederated removes a federated credential by ID or name. Errors: fault.NotFound, Denied.
func (s *Service) RemoveFederated(ctx context.Context, id, credential string) error {
	_, err := s.updateApplication(ctx, id, func(a *acr.Application) (err error) {
		a.Federated, err = removeFederated(a.Federated, credential)
		return err
	})
	return err
}

func removeFederated(list []acr.FederatedCredential, credential string) ([]acr.FederatedCredential, error) {
	out := slices.DeleteFunc(slices.Clone(list), func(f acr.FederatedCredential) bool {
		return strings.EqualFold(f.ID, credential) || f.Name == credential
	})
	if len(out) == len(list) {
		return nil, missing("federatedIdentityCredentials", credential)
	}
	return out, nil
}

// PutManagedFederated is PutFederated for a managed identity, by its service principal's object ID.
func (s *Service) PutManagedFederated(ctx context.Context, id string, f acr.FederatedCredential) (acr.FederatedCredential, error) {
	_, err := s.updateAccount(ctx, id, func(p *acr.ServiceAccount) (err error) {
		if p.ManagedID == "" {
			return fault.New(fault.Invalid, "service principal %s is an application's: federate that", p.DisplayName)
		}
		p.Federated, err = s.putFederated(p.Federated, &f)
		return err
	})
	return f, err
}

// RemoveManagedFederated is RemoveFederated for a managed identity.
func (s *Service) RemoveManagedFederated(ctx context.Context, id, credential string) error {
	_, err := s.updateAccount(ctx, id, func(p *acr.ServiceAccount) (err error) {
		p.Federated, err = removeFederated(p.Federated, credential)
		return err
	})
	return err
}

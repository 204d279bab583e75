package directory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Bounds of what is remembered of who came with a foreign token.
const (
	foreignMemory = 24 * time.Hour
	maxClaims     = 16 << 10
	maxForeign    = 500 // groups
)

// foreignMemo is the kind of memos of them, by object ID or TrustRef.
const foreignMemo = "foreign"

// foreign is who came with the token of a trusted issuer, as long as registry tokens that were given for it may live:
// what it may do is what its issuer's rules say of its claims now.
type foreign struct {
	Issuer string          // the trusted issuer's name
	Claims json.RawMessage // as they came, spaces apart
}

// verifyForeign checks a token of a trusted issuer. Errors: fault.Unauthenticated, Unavailable.
func (s *Service) verifyForeign(ctx context.Context, issuer, token string) (auth.Verified, error) {
	trusted, err := s.trusted(ctx, "iss:"+issuer)
	if err != nil {
		return auth.Verified{}, err
	}
	claims, err := s.issuers.verify(ctx, issuer, trusted.KeysURL, token)
	if err != nil {
		return auth.Verified{}, err
	}
	var says assertion
	var aud string
	if err := peek(token, &says); err != nil {
		return auth.Verified{}, err
	}
	for _, a := range says.Audience {
		if slices.Contains(trusted.Audiences, a) {
			aud = a
			break
		}
	}
	if aud == "" {
		return auth.Verified{}, fault.New(fault.Unauthenticated, "the token is for the audience %.200q, which issuer %s is not trusted for", strings.Join(says.Audience, " "), trusted.Name)
	}
	p, err := s.outsider(ctx, trusted, claims, token)
	if err != nil {
		return auth.Verified{}, err
	}
	kept, err := json.Marshal(claims)
	if err != nil {
		return auth.Verified{}, err
	}
	return auth.Verified{Principal: p, Audience: aud, Expires: time.UnixMilli(int64(*says.Expires * 1000))}, s.remember(ctx, p, foreign{trusted.Name, kept})
}

// trusted finds a trusted issuer by one of its keys. Errors: fault.Unauthenticated.
func (s *Service) trusted(ctx context.Context, key string) (acr.TrustedIssuer, error) {
	var found []acr.TrustedIssuer
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) { found, err = meta.Find[acr.TrustedIssuer](tx, key, 1); return err })
	if err == nil && len(found) == 0 {
		err = fault.New(fault.Unauthenticated, "the token is of issuer %.200q, which is not trusted here", strings.TrimPrefix(key, "iss:"))
	}
	if err != nil {
		return acr.TrustedIssuer{}, err
	}
	return found[0], nil
}

// outsider is whom a trusted issuer's claims stand for: of an Entra tenant a principal by object ID, with what the rules
// give besides; of any other issuer only what the rules give. Errors: fault.Unauthenticated.
func (s *Service) outsider(ctx context.Context, trusted acr.TrustedIssuer, claims map[string]any, token string) (auth.Principal, error) {
	text := func(name string) string { t, _ := claims[name].(string); return t }
	p := auth.Principal{Type: acr.ServicePrincipal, Name: text("sub"), Tenant: text("tid"), AppID: cmp.Or(text("appid"), text("azp"))}
	for _, rule := range trusted.Rules {
		if grants, ok := rule.Match(claims); ok {
			p.Rules = append(p.Rules, auth.TrustGrant{Registry: strings.ToLower(rule.Registry), Rule: rule.Name, Grants: grants})
		}
	}
	if trusted.Entra {
		return s.entra(ctx, trusted, claims, p)
	}
	if len(p.Rules) == 0 {
		return p, fault.New(fault.Unauthenticated, "no rule of trusted issuer %s fits the token's claims; its subject is %.200q", trusted.Name, p.Name)
	}
	p.TrustRef = trusted.Name + "|" + hashed(token)[:32]
	return p, nil
}

// entra is a principal of another tenant. An object ID that is one of this tenant's own is refused, and a group of this
// tenant's own left out, so that no other issuer can speak for them.
func (s *Service) entra(ctx context.Context, trusted acr.TrustedIssuer, claims map[string]any, p auth.Principal) (auth.Principal, error) {
	oid, _ := claims["oid"].(string)
	oid = strings.ToLower(oid)
	if !acr.GUID(oid) || p.Tenant == "" || strings.EqualFold(p.Tenant, s.opt.Tenant) {
		return p, fault.New(fault.Unauthenticated, "the token of issuer %s names no object and tenant of its own", trusted.Name)
	}
	p.ID, p.Name = oid, cmp.Or(p.AppID, p.Name)
	name, _ := claims["upn"].(string)
	if preferred, _ := claims["preferred_username"].(string); name == "" {
		name = preferred
	}
	if kind, _ := claims["idtyp"].(string); kind == "user" || kind != "app" && (claims["scp"] != nil || name != "") {
		p.Type, p.Name = acr.UserPrincipal, cmp.Or(name, oid)
	}
	var groups []string
	list, _ := claims["groups"].([]any)
	for _, g := range list[:min(len(list), maxForeign)] {
		if id, ok := g.(string); ok && acr.GUID(strings.ToLower(id)) {
			groups = append(groups, strings.ToLower(id))
		}
	}
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		if _, err := objectOf(tx, oid); !errors.Is(err, fault.NotFound) {
			return orElse(err, func() error {
				return fault.New(fault.Unauthenticated, "issuer %s speaks of object %s, which is one of this tenant", trusted.Name, oid)
			})
		}
		own, err := groupsOf(tx, oid)
		if err != nil {
			return err
		}
		p.Groups = own
		for _, g := range groups {
			switch _, err := objectOf(tx, g); {
			case errors.Is(err, fault.NotFound):
				p.Groups = append(p.Groups, g)
			case err != nil:
				return err
			}
		}
		return nil
	})
	return p, err
}

// remember keeps who came, so that Principal knows them while registry tokens that they got live.
func (s *Service) remember(ctx context.Context, p auth.Principal, f foreign) error {
	doc, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if len(doc) > maxClaims {
		return fault.New(fault.Unauthenticated, "the token's claims have %d bytes: %d are allowed", len(doc), maxClaims)
	}
	ref := cmp.Or(p.ID, p.TrustRef)
	until := s.opt.DB.Now().Add(foreignMemory)
	return s.opt.DB.Note(ctx, func(tx *meta.Tx) error {
		old, found, err := tx.Recall(foreignMemo, ref)
		if err != nil {
			return err
		}
		if found {
			if _, err := tx.Forget(foreignMemo, ref, old); err != nil {
				return err
			}
		}
		_, err = tx.Remember(foreignMemo, ref, doc, until)
		return err
	})
}

// foreigner is who came with a foreign token before, with what its issuer's rules say now. Errors: fault.NotFound for who
// did not, or whose issuer is trusted no more.
func (s *Service) foreigner(ctx context.Context, ref string) (auth.Principal, error) {
	gone := fault.New(fault.NotFound, "principal %.100q does not exist", ref)
	var doc []byte
	var f foreign
	var trusted acr.TrustedIssuer
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		var found bool
		if doc, found, err = tx.Recall(foreignMemo, ref); err != nil || !found {
			return orElse(err, func() error { return gone })
		}
		if err := json.Unmarshal(doc, &f); err != nil {
			return err
		}
		trusted, _, err = meta.Get[acr.TrustedIssuer](tx, acr.TrustedIssuerID(f.Issuer))
		return err
	})
	if errors.Is(err, fault.NotFound) {
		return auth.Principal{}, gone
	}
	if err != nil {
		return auth.Principal{}, err
	}
	claims, err := readClaims(f.Claims)
	if err != nil {
		return auth.Principal{}, err
	}
	if iss, _ := claims["iss"].(string); iss != trusted.Issuer {
		return auth.Principal{}, gone
	}
	p, err := s.outsider(ctx, trusted, claims, "")
	if errors.Is(err, fault.Unauthenticated) {
		return auth.Principal{}, gone
	}
	if p.TrustRef != "" {
		p.TrustRef = ref
	}
	return p, err
}

var (
	_ auth.Principals = (*Service)(nil)
	_ auth.Redeemer   = (*Service)(nil)
)

package directory

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// assertionAlgorithms are those with which applications sign: none that a public key could be the secret of.
var assertionAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512}

// Bounds of assertions.
const (
	assertionLife = 24 * time.Hour  // the longest that one may be good for, and so is remembered
	assertionSkew = 5 * time.Minute // by how much clocks may differ
	maxChain      = 8
)

// assertion is what an assertion says, with numbers as clients write them: MSAL for Python sends fractions.
type assertion struct {
	Issuer    string
	Subject   string
	Audience  []string
	ID        string
	Expires   *float64
	NotBefore *float64
	IssuedAt  *float64
}

// UnmarshalJSON takes claims by their exact names: an issuer may let strangers add a claim "Sub".
func (a *assertion) UnmarshalJSON(b []byte) error {
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(b, &claims); err != nil {
		return err
	}
	for name, into := range map[string]any{"iss": &a.Issuer, "sub": &a.Subject, "jti": &a.ID, "exp": &a.Expires, "nbf": &a.NotBefore, "iat": &a.IssuedAt} {
		if raw, ok := claims[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return err
			}
		}
	}
	raw, ok := claims["aud"]
	if !ok {
		return nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		a.Audience = []string{one}
		return nil
	}
	return json.Unmarshal(raw, &a.Audience)
}

// assertionHeader is what an assertion says of its key.
type assertionHeader struct {
	Algorithm string   `json:"alg"`
	KeyID     string   `json:"kid"`
	SHA1      string   `json:"x5t"`
	SHA256    string   `json:"x5t#S256"`
	Chain     []string `json:"x5c"`
}

// checkAssertion finds the credential that an assertion is: of a certificate of the application, where the application
// itself is the issuer, else of a federated credential. Errors: a Refusal.
func (s *Service) checkAssertion(ctx context.Context, app acr.Application, r Request) (credential string, err error) {
	var says assertion
	if err := peek(r.Assertion, &says); err != nil {
		return "", refuse(badAssertion, "The client assertion is no JWT.")
	}
	if strings.EqualFold(says.Issuer, app.AppID) || slices.ContainsFunc(app.IdentifierURIs, func(u string) bool { return strings.EqualFold(u, says.Issuer) }) {
		return s.signedAssertion(ctx, app, r)
	}
	return s.federatedAssertion(ctx, app, r.Assertion, says)
}

// signedAssertion checks one that the application signed with the key of a certificate.
func (s *Service) signedAssertion(ctx context.Context, app acr.Application, r Request) (credential string, err error) {
	payload, credential, err := s.verifyAssertion(app, r.Assertion)
	if err != nil {
		return "", err
	}
	var says assertion
	if err := json.Unmarshal(payload, &says); err != nil {
		return "", refuse(badAssertion, "Client assertion: its claims cannot be read.")
	}
	if says.Subject != says.Issuer {
		return "", refuse(badAssertion, "Client assertion: the claims iss and sub must both be the client ID %s.", app.AppID)
	}
	expires, err := s.checkLife(says)
	if err != nil {
		return "", err
	}
	if len(says.Audience) != 1 || !s.isTokenEndpoint(r.Origin, says.Audience[0]) {
		return "", refuse(assertionAudience, "Client assertion audience claim does not match Realm issuer. Review the documentation: "+
			"the audience is the token endpoint under a name that this server knows for its own, %s/%s/oauth2/v2.0/token, or the issuer, %s.", r.Origin, s.opt.Tenant, s.opt.Issuer)
	}
	if err := s.firstUse(ctx, app.AppID, r, says.ID, expires); err != nil {
		return "", err
	}
	s.used(ctx, "applications/"+app.ID+"/"+credential)
	return credential, nil
}

// checkLife holds the times of an assertion against the clock.
func (s *Service) checkLife(says assertion) (expires time.Time, err error) {
	now := s.opt.DB.Now()
	if says.Expires == nil || !(*says.Expires > 0 && *says.Expires < 1e11) {
		return expires, refuse(badAssertion, "Client assertion: the claim exp is missing or no time.")
	}
	expires = time.UnixMilli(int64(*says.Expires * 1000))
	early := now.Add(assertionSkew)
	for _, at := range []*float64{says.NotBefore, says.IssuedAt} {
		if at != nil && !(*at <= float64(early.Unix())) {
			return expires, refuse(expiredAssertion, "Client assertion is not within its valid time range. Current time: %s, it begins later. Check the clock.", now.UTC().Format(time.RFC3339))
		}
	}
	switch {
	case !now.Before(expires):
		return expires, refuse(expiredAssertion, "Client assertion is not within its valid time range. Current time: %s, expiry time of assertion %s.",
			now.UTC().Format(time.RFC3339), expires.UTC().Format(time.RFC3339))
	case expires.Sub(now) > assertionLife+assertionSkew:
		return expires, refuse(badAssertion, "Client assertion: it is good for longer than %s.", assertionLife)
	}
	return expires, nil
}

// isTokenEndpoint tells whether an audience is the token endpoint or the issuer, of either version, on the host by which the
// client came.
func (s *Service) isTokenEndpoint(origin, aud string) bool {
	if len(aud) > maxRedirect {
		return false
	}
	if strings.TrimSuffix(aud, "/") == strings.TrimSuffix(s.opt.Issuer, "/") {
		return true
	}
	path, found := strings.CutPrefix(strings.ToLower(aud), strings.ToLower(strings.TrimSuffix(origin, "/"))+"/")
	if !found || origin == "" {
		return false
	}
	tenant, rest, _ := strings.Cut(strings.TrimSuffix(path, "/"), "/")
	if _, err := s.TenantID(tenant); err != nil {
		return false
	}
	return slices.Contains([]string{"", "v2.0", "oauth2/token", "oauth2/v2.0/token"}, rest)
}

// usedBy is what is remembered of an assertion: whence it came, and for what.
type usedBy struct {
	Address   string
	Resources []string
}

// assertionMemo is the kind of memos of assertions.
const assertionMemo = "assertion"

// firstUse refuses an assertion that was used before. One for another resource from the same address is not: MSAL for
// Python signs one assertion for ten minutes and shows it again for each resource.
func (s *Service) firstUse(ctx context.Context, appID string, r Request, id string, expires time.Time) error {
	replayed := func() error {
		return refuse(replayedAssertion, "The client assertion was used before. Sign another for each request.")
	}
	if id == "" {
		signed, _, _ := cutLast(r.Assertion)
		id = "\x00" + signed
	}
	want, err := s.asked(r.Scope, r.Resource)
	if err != nil {
		return err
	}
	name := hashed(appID + "\x00" + id)
	resource := strings.TrimSuffix(want.resource, "/")
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		use := usedBy{r.Address, []string{resource}}
		doc, err := json.Marshal(use)
		if err != nil {
			return err
		}
		fresh, err := tx.Remember(assertionMemo, name, doc, expires)
		if err != nil || fresh {
			return err
		}
		old, found, err := tx.Recall(assertionMemo, name)
		if err != nil || !found {
			return orElse(err, replayed)
		}
		if err := json.Unmarshal(old, &use); err != nil {
			return err
		}
		if use.Address != r.Address || slices.Contains(use.Resources, resource) || len(use.Resources) >= len(publicResources) {
			return replayed()
		}
		use.Resources = append(use.Resources, resource)
		if doc, err = json.Marshal(use); err != nil {
			return err
		}
		done, err := tx.Amend(assertionMemo, name, old, doc)
		if err != nil || !done {
			return orElse(err, replayed)
		}
		return nil
	})
}

func orElse(err error, or func() error) error {
	if err != nil {
		return err
	}
	return or()
}

// cutLast cuts what is behind the last dot: the signature.
func cutLast(token string) (signed, signature string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return token, "", false
	}
	return token[:i], token[i+1:], true
}

// verifyAssertion checks the signature, with a key that is kept here: the header only says which. Errors: a Refusal.
func (s *Service) verifyAssertion(app acr.Application, token string) (payload []byte, credential string, err error) {
	if len(token) > maxToken {
		return nil, "", refuse(badAssertion, "Client assertion: it has more than %d bytes.", maxToken)
	}
	var h assertionHeader
	head, _, _ := strings.Cut(token, ".")
	text, err := decode64(head)
	if err != nil || json.Unmarshal(text, &h) != nil {
		return nil, "", refuse(badAssertion, "Client assertion: its header cannot be read.")
	}
	if !slices.Contains(assertionAlgorithms, jose.SignatureAlgorithm(h.Algorithm)) {
		return nil, "", refuse(badAssertion, "Client assertion: the algorithm '%.20s' is not allowed: sign with RS256, PS256 or ES256.", h.Algorithm)
	}
	if payload, credential = s.byCertificate(app, h, token); payload != nil {
		return payload, credential, nil
	}
	if payload, credential = s.bySubject(app, h, token); payload != nil {
		return payload, credential, nil
	}
	return nil, "", refuse(badAssertion, "Client assertion failed signature validation. The key was not found among those of app '%s', "+
		"or it does not fit: register the certificate with the thumbprint '%.100s%.100s%.100s'.", app.AppID, h.SHA1, h.SHA256, h.KeyID)
}

// byCertificate verifies with a registered certificate that the header names; where it names none, with any.
func (s *Service) byCertificate(app acr.Application, h assertionHeader, token string) (payload []byte, credential string) {
	now := s.opt.DB.Now()
	for _, c := range app.Certificates {
		if !h.names(c.Certificate) || now.Before(c.Start) || !now.Before(c.End) {
			continue
		}
		crt, err := x509.ParseCertificate(c.Certificate)
		if err != nil {
			continue
		}
		if payload := verifySigned(token, h.Algorithm, crt.PublicKey); payload != nil {
			return payload, c.KeyID
		}
	}
	return nil, ""
}

// names tells whether the header's thumbprints, however encoded, are a certificate's. kid counts only if it is a
// thumbprint by its length; with none at all, any certificate may be meant.
func (h assertionHeader) names(der []byte) bool {
	one, two := sha1.Sum(der), sha256.Sum256(der)
	named := false
	for _, text := range []string{h.SHA1, h.SHA256, h.KeyID} {
		sum := thumb(text)
		if sum == nil {
			continue
		}
		named = true
		if string(sum) == string(one[:]) || string(sum) == string(two[:]) {
			return true
		}
	}
	return !named
}

// thumb decodes a thumbprint: hex, or base64 of any alphabet, padded or not; nil where it is none.
func thumb(text string) []byte {
	if b, err := hex.DecodeString(text); err == nil && (len(b) == sha1.Size || len(b) == sha256.Size) {
		return b
	}
	if b, err := decode64(text); err == nil && (len(b) == sha1.Size || len(b) == sha256.Size) {
		return b
	}
	return nil
}

// decode64 decodes base64 of either alphabet, padded or not, with line ends or without.
func decode64(text string) ([]byte, error) {
	text = strings.NewReplacer("+", "-", "/", "_", "=", "", "\r", "", "\n", "", `\n`, "").Replace(text)
	return base64.RawURLEncoding.DecodeString(text)
}

// bySubject verifies with the header's own certificate, but only one with a name that is trusted, from the authority that
// is trusted for it.
func (s *Service) bySubject(app acr.Application, h assertionHeader, token string) (payload []byte, credential string) {
	if len(app.Subjects) == 0 || len(h.Chain) == 0 || len(h.Chain) > maxChain {
		return nil, ""
	}
	chain := make([]*x509.Certificate, len(h.Chain))
	between := x509.NewCertPool()
	for i, text := range h.Chain {
		der, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\r", "", "\n", "", " ", "").Replace(text))
		if err != nil {
			return nil, ""
		}
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, ""
		}
		if i > 0 {
			between.AddCert(chain[i])
		}
	}
	leaf := chain[0]
	if !h.names(leaf.Raw) || leaf.IsCA {
		return nil, ""
	}
	for _, sub := range app.Subjects {
		authority, err := x509.ParseCertificate(sub.Authority)
		if err != nil || !hasName(leaf, sub.Name) {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(authority)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: s.opt.DB.Now(),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			continue
		}
		if payload := verifySigned(token, h.Algorithm, leaf.PublicKey); payload != nil {
			return payload, subjectKey(sub)
		}
	}
	return nil, ""
}

// hasName tells whether a certificate bears a name: a DNS name as it stands there, or where there is none the common name.
func hasName(crt *x509.Certificate, name string) bool {
	if len(crt.DNSNames) > 0 {
		return slices.ContainsFunc(crt.DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
	}
	return strings.EqualFold(crt.Subject.CommonName, name)
}

// verifySigned is the payload of a token that the key signed; nil where it did not. The algorithm must be of the key's kind.
func verifySigned(token, algorithm string, key crypto.PublicKey) []byte {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if algorithm[0] == 'E' || key.N.BitLen() < 2048 {
			return nil
		}
	case *ecdsa.PublicKey:
		if algorithm[0] != 'E' {
			return nil
		}
		token = rawSignature(token, key)
	default:
		return nil
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
	if err != nil {
		return nil
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil
	}
	return payload
}

// rawSignature gives a token whose ECDSA signature is in DER, as go-azure-sdk makes it, the form of RFC 7518, section 3.4.
func rawSignature(token string, key *ecdsa.PublicKey) string {
	signed, signature, ok := cutLast(token)
	if !ok {
		return token
	}
	der, err := decode64(signature)
	if err != nil {
		return token
	}
	size := (key.Curve.Params().BitSize + 7) / 8
	var rs struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &rs)
	if len(der) == 2*size || err != nil || len(rest) > 0 || rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.BitLen() > 8*size || rs.S.BitLen() > 8*size {
		return token
	}
	raw := make([]byte, 2*size)
	rs.R.FillBytes(raw[:size])
	rs.S.FillBytes(raw[size:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(raw)
}

// federatedAssertion checks a token of another issuer that stands for the application. It is not used up: a workload shows
// the one it was given until it gets the next.
func (s *Service) federatedAssertion(ctx context.Context, app acr.Application, token string, says assertion) (credential string, err error) {
	ofIssuer := slices.DeleteFunc(slices.Clone(app.Federated), func(f acr.FederatedCredential) bool { return f.Issuer != says.Issuer })
	if len(ofIssuer) == 0 {
		return "", refuse(unknownIssuer, "No matching federated identity record found for presented assertion issuer '%.200s'. "+
			"Check your federated identity credential's issuer.", says.Issuer)
	}
	bySubject := slices.DeleteFunc(slices.Clone(ofIssuer), func(f acr.FederatedCredential) bool { return f.Subject != says.Subject })
	if len(bySubject) == 0 {
		return "", refuse(unknownSubject, "No matching federated identity record found for presented assertion subject '%.200s'. "+
			"Check your federated identity credential's subject, audience and issuer against the presented assertion.", says.Subject)
	}
	i := slices.IndexFunc(bySubject, func(f acr.FederatedCredential) bool {
		return slices.ContainsFunc(f.Audiences, func(a string) bool { return slices.Contains(says.Audience, a) })
	})
	if i < 0 {
		return "", refuse(unknownAudience, "No matching federated identity record found for presented assertion audience '%.200s'. "+
			"Check your federated identity credential's audience.", strings.Join(says.Audience, " "))
	}
	if says.Issuer == s.opt.Issuer {
		_, err = s.verifyOwn(ctx, token)
	} else {
		_, err = s.issuers.verify(ctx, says.Issuer, "", token)
	}
	switch {
	case fault.KindOf(err) == fault.Unavailable && err != nil:
		return "", refuse(temporarilyUnknown, "The keys of issuer '%.200s' cannot be had now: the server's log says why.", says.Issuer)
	case err != nil:
		return "", refuse(badAssertion, "The assertion of issuer '%.200s' does not hold: %v", says.Issuer, err)
	}
	s.used(ctx, "applications/"+app.ID+"/"+bySubject[i].ID)
	return federatedKey(bySubject[i]), nil
}

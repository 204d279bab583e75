package controlplane

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/resource"
)

// identityRows are managed identities, and what is acre's own: trusted issuers, why somebody may do something, the audit.
func (f *Face) identityRows() []*row {
	rows := []*row{
		rowOf(document[acr.ManagedIdentity]{
			kind: f.opt.Resources.Identities, row: row{provider: arm.Identity, types: "userAssignedIdentities", tracked: true},
			encode: encodeIdentity, decode: decodeIdentity,
		}),
		rowOf(document[acr.TrustedIssuer]{
			kind: f.opt.Resources.Issuers, row: row{provider: own, types: "trustedIssuers"},
			encode: encodeIssuer, decode: decodeIssuer,
		}),
		f.federationRow(),
		{provider: own, types: "auditEvents", verbs: map[string]handler{list: auditEvents}},
		{provider: arm.Provider, types: "registries/auditEvents", verbs: map[string]handler{list: auditEvents}},
		{provider: own, verbs: map[string]handler{"POST verifyaudit": verifyAudit, "POST findleakedcredentials": findLeaked}},
	}
	return rows
}

type identityWire struct {
	ID         string             `json:"id"`
	Name       string             `json:"name"`
	Type       string             `json:"type"`
	Location   string             `json:"location"`
	Tags       map[string]string  `json:"tags"`
	SystemData *systemData        `json:"systemData,omitempty"`
	Properties identityProperties `json:"properties"`
}

type identityProperties struct {
	TenantID       string `json:"tenantId"`
	PrincipalID    string `json:"principalId"`
	ClientID       string `json:"clientId"`
	IsolationScope string `json:"isolationScope"`
}

func encodeIdentity(c *call, kept resource.Kept[acr.ManagedIdentity]) any {
	m := kept.Doc
	return identityWire{
		ID: kept.ID.String(), Name: m.Name, Type: arm.Identity + "/userAssignedIdentities", Location: location(m.Location), Tags: wireTags(m.Tags),
		SystemData: wireSystem(m.System),
		Properties: identityProperties{c.opt.Resources.Installation().Tenant, m.PrincipalID, m.ClientID, "None"},
	}
}

func decodeIdentity(c *call, m *acr.ManagedIdentity, isNew bool) error {
	var in struct {
		Location member[string]            `json:"location"`
		Tags     member[map[string]string] `json:"tags"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if isNew && in.Location.Value == "" {
		return fault.New(locationRequired, "The location property is required for this definition.")
	}
	if in.Location.Value != "" {
		m.Location = in.Location.Value
	}
	in.Tags.onto(&m.Tags)
	return nil
}

type issuerWire struct {
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	Properties issuerProperties `json:"properties"`
}

type issuerProperties struct {
	Issuer       string          `json:"issuer"`
	KeysURL      string          `json:"keysUrl,omitempty"`
	Audiences    []string        `json:"audiences"`
	Entra        bool            `json:"entra"`
	Rules        []acr.TrustRule `json:"rules"`
	CreationDate string          `json:"creationDate"`
}

func encodeIssuer(_ *call, kept resource.Kept[acr.TrustedIssuer]) any {
	t := kept.Doc
	out := issuerWire{kept.ID.String(), t.Name, own + "/trustedIssuers", issuerProperties{t.Issuer, t.KeysURL, texts(t.Audiences), t.Entra, t.Rules, wireTime(t.CreatedAt)}}
	if t.Rules == nil {
		out.Properties.Rules = []acr.TrustRule{}
	}
	return out
}

func decodeIssuer(c *call, t *acr.TrustedIssuer, _ bool) error {
	var in struct {
		Properties struct {
			Issuer    member[string]          `json:"issuer"`
			KeysURL   member[string]          `json:"keysUrl"`
			Audiences member[[]string]        `json:"audiences"`
			Entra     member[bool]            `json:"entra"`
			Rules     member[[]acr.TrustRule] `json:"rules"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if c.r.Method == http.MethodPut {
		*t = acr.TrustedIssuer{Name: t.Name, CreatedAt: t.CreatedAt}
	}
	p := in.Properties
	p.Issuer.onto(&t.Issuer)
	p.KeysURL.onto(&t.KeysURL)
	p.Audiences.onto(&t.Audiences)
	p.Entra.onto(&t.Entra)
	p.Rules.onto(&t.Rules)
	return nil
}

// explainAccess says why somebody may, or may not, do something on a registry's contents.
func explainAccess(c *call) error {
	var in struct {
		Principal     string     `json:"principal"`
		Action        acr.Action `json:"action"`
		Repository    string     `json:"repository"` // "": the catalog
		Tag           string     `json:"tag"`
		Digest        oci.Digest `json:"digest"`
		SourceAddress string     `json:"sourceAddress"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	q := auth.Question{Registry: c.registryKey(), Who: in.Principal, Action: in.Action, On: acr.Catalog}
	if in.Repository != "" {
		q.On = acr.Repository(in.Repository)
		q.On.Tag, q.On.Digest = in.Tag, in.Digest
	} else if q.Action == "" || q.Action == acr.Pull {
		q.Action = acr.All
	}
	if in.SourceAddress != "" {
		at, err := netip.ParseAddr(in.SourceAddress)
		if err != nil {
			return fault.New(fault.Invalid, "sourceAddress '%.60s' is not an address.", in.SourceAddress)
		}
		q.Source = at
	}
	answer, err := c.opt.Auth.Explain(c.ctx, q)
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, answer)
}

// revokeTokens ends the tokens that somebody was given until now.
func revokeTokens(c *call) error {
	var in struct {
		Subject string `json:"subject"` // token:NAME, principal:OBJECT_ID, admin or *
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := c.opt.Auth.RevokeOn(c.ctx, c.registryKey(), in.Subject); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// auditEvents lists a registry's rows, or those that belong to none, from the newest on.
func auditEvents(c *call) error {
	q := audit.Query{
		Category: acr.AuditCategory(c.query.Get("category")), Operation: c.query.Get("operation"), Identity: c.query.Get("identity"),
		Repository: c.query.Get("repository"), Result: c.query.Get("result"), Limit: pageSize,
	}
	if len(c.path.Names) > 0 {
		q.Registry = c.registryKey()
	}
	for _, at := range []struct {
		name string
		to   *time.Time
	}{{"from", &q.From}, {"to", &q.To}} {
		text := c.query.Get(at.name)
		if text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+"))
		if err != nil {
			return fault.New(fault.Invalid, "%s '%.60s' is not a time such as 2026-01-31T08:00:00Z.", at.name, text)
		}
		*at.to = t
	}
	for _, n := range []struct {
		name string
		most int64
		to   func(int64)
	}{{"$top", audit.MaxPage, func(n int64) { q.Limit = int(n) }}, {"$skipToken", 1<<63 - 1, func(n int64) { q.Before = n }}} {
		text := c.query.Get(n.name)
		if text == "" {
			continue
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v < 1 {
			return fault.New(fault.Invalid, "%s '%.60s' is not a number of 1 or more.", n.name, text)
		}
		n.to(min(v, n.most))
	}
	page, err := c.opt.Audit.Query(c.ctx, q)
	if err != nil {
		return err
	}
	more := ""
	if page.Before > 0 {
		more = strconv.FormatInt(page.Before, 10)
	}
	return listed(c, page.Rows, more)
}

// verifyAudit walks all chains, and says which rows are missing or were changed.
func verifyAudit(c *call) error {
	report, err := c.opt.Audit.Verify(c.ctx)
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, struct {
		OK bool `json:"ok"`
		audit.Report
	}{report.OK(), report})
}

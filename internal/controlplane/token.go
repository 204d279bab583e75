package controlplane

import (
	"net/http"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) scopeMapRow() *row {
	return rowOf(document[acr.ScopeMap]{
		kind: f.opt.Resources.ScopeMaps, row: row{provider: arm.Provider, types: "registries/scopeMaps"},
		encode: encodeScopeMap, decode: decodeScopeMap,
	})
}

type scopeMapWire struct {
	Type       string             `json:"type"`
	Properties scopeMapProperties `json:"properties"`
	ID         string             `json:"id"`
	Name       string             `json:"name"`
	SystemData *systemData        `json:"systemData,omitempty"`
}

type scopeMapProperties struct {
	Description       string   `json:"description"`
	Type              string   `json:"type"`
	CreationDate      string   `json:"creationDate"`
	ProvisioningState string   `json:"provisioningState"`
	Actions           []string `json:"actions"`
}

func encodeScopeMap(_ *call, kept resource.Kept[acr.ScopeMap]) any {
	m := kept.Doc
	out := scopeMapWire{
		Type: arm.Provider + "/registries/scopeMaps", ID: kept.ID.String(), Name: m.Name, SystemData: wireSystem(m.System),
		Properties: scopeMapProperties{m.Description, "UserDefined", wireTime(m.CreatedAt), succeeded, m.Actions},
	}
	if _, system := acr.SystemScopeMap(m.Name); system { // it is as old as its registry
		out.Properties.Type, out.Properties.CreationDate = "SystemDefined", wireTime(kept.In.CreatedAt)
	}
	if m.Actions == nil {
		out.Properties.Actions = []string{}
	}
	return out
}

func decodeScopeMap(c *call, m *acr.ScopeMap, isNew bool) error {
	var in struct {
		Properties struct {
			Description member[string]   `json:"description"`
			Actions     member[[]string] `json:"actions"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	p := in.Properties
	if c.r.Method == http.MethodPut {
		if !p.Actions.Set || p.Actions.Null {
			return fault.New(fault.Invalid, "The scope map '%s' needs actions, such as repositories/{name}/content/read.", c.path.ID().Name())
		}
		m.Description = ""
	}
	p.Description.onto(&m.Description)
	p.Actions.onto(&m.Actions)
	return nil
}

func (f *Face) tokenRow() *row {
	tokens := rowOf(document[acr.Token]{
		kind: f.opt.Resources.Tokens, row: row{provider: arm.Provider, types: "registries/tokens"},
		encode: encodeToken, decode: decodeToken,
	})
	tokens.verbs["POST rotatepassword"] = rotatePassword
	return tokens
}

type tokenWire struct {
	Type       string          `json:"type"`
	Properties tokenProperties `json:"properties"`
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	SystemData *systemData     `json:"systemData,omitempty"`
}

type tokenProperties struct {
	CreationDate      string          `json:"creationDate"`
	ProvisioningState string          `json:"provisioningState"`
	ScopeMapID        string          `json:"scopeMapId"`
	Credentials       credentialsWire `json:"credentials"`
	Status            string          `json:"status"`
	Acre              tokenExtension  `json:"acre"`
}

// tokenExtension is what the real service does not tell.
type tokenExtension struct {
	LastUsedTime string `json:"lastUsedTime,omitempty"`
}

type credentialsWire struct {
	Certificates []certificateWire   `json:"certificates"`
	Passwords    []tokenPasswordWire `json:"passwords"`
}

type certificateWire struct {
	Name       string     `json:"name"`
	Expiry     *time.Time `json:"expiry,omitempty"`
	Thumbprint string     `json:"thumbprint,omitempty"`
	PEM        string     `json:"encodedPemCertificate,omitempty"`
}

type tokenPasswordWire struct {
	CreationTime string `json:"creationTime,omitempty"`
	Expiry       string `json:"expiry,omitempty"`
	Name         string `json:"name"`
	Value        string `json:"value,omitempty"`
}

func wirePassword(p acr.TokenPassword, value string) tokenPasswordWire {
	out := tokenPasswordWire{CreationTime: wireTime(p.CreatedAt), Name: p.Name, Value: value}
	if p.Expiry != nil {
		out.Expiry = wireTime(*p.Expiry)
	}
	return out
}

func encodeToken(c *call, kept resource.Kept[acr.Token]) any {
	t := kept.Doc
	out := tokenWire{
		Type: arm.Provider + "/registries/tokens", ID: kept.ID.String(), Name: t.Name, SystemData: wireSystem(t.System),
		Properties: tokenProperties{
			CreationDate: wireTime(t.CreatedAt), ProvisioningState: succeeded, ScopeMapID: kept.In.ID.Child("scopeMaps", t.ScopeMap).String(),
			Credentials: credentialsWire{[]certificateWire{}, []tokenPasswordWire{}}, Status: string(t.Status),
		},
	}
	for _, p := range t.Passwords {
		out.Properties.Credentials.Passwords = append(out.Properties.Credentials.Passwords, wirePassword(p, ""))
	}
	for _, cert := range t.Certificates {
		out.Properties.Credentials.Certificates = append(out.Properties.Credentials.Certificates,
			certificateWire{cert.Name, cert.Expiry, cert.Thumbprint, cert.PEM})
	}
	if !kept.LastUsed.Before(t.CreatedAt) { // else it was another of the same name
		out.Properties.Acre.LastUsedTime = wireTime(kept.LastUsed)
	}
	return out
}

func decodeToken(c *call, t *acr.Token, isNew bool) error {
	var in struct {
		Properties struct {
			ScopeMapID  member[string]          `json:"scopeMapId"`
			Status      member[string]          `json:"status"`
			Credentials member[credentialsBody] `json:"credentials"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	p := in.Properties
	switch {
	case p.ScopeMapID.Value != "":
		name, err := c.scopeMapName(p.ScopeMapID.Value)
		if err != nil {
			return err
		}
		t.ScopeMap = name
	case isNew || p.ScopeMapID.Null:
		return fault.New(fault.Invalid, "The token '%s' needs a scopeMapId: the ID of a scope map of its registry.", c.path.ID().Name())
	}
	if p.Status.Set {
		t.Status = acr.TokenStatus(strings.ToLower(p.Status.Value))
	}
	if p.Credentials.Set {
		p.Credentials.Value.onto(p.Credentials.Null, t)
	}
	return nil
}

// scopeMapName is the name in a scope map's ID; the map must be of the same registry.
func (c *call) scopeMapName(id string) (string, error) {
	m, err := arm.ParseID(id)
	if err != nil {
		return "", err
	}
	of, nested := m.Parent()
	reg, _ := c.path.ID().Parent()
	if !nested || m.Type() != "registries/scopemaps" || of.Key() != reg.Key() {
		return "", fault.New(fault.Invalid, "The scopeMapId '%s' is not the ID of a scope map of registry %s.", id, reg.Name())
	}
	return m.Name(), nil
}

type credentialsBody struct {
	Passwords    member[[]tokenPasswordWire] `json:"passwords"`
	Certificates member[[]certificateWire]   `json:"certificates"`
}

// onto keeps the passwords that are named and drops the others: none is made here. Certificates are taken over.
func (b credentialsBody) onto(null bool, t *acr.Token) {
	if null || b.Passwords.Set {
		var kept []acr.TokenPassword
		for _, p := range t.Passwords {
			for _, named := range b.Passwords.Value {
				if strings.EqualFold(p.Name, named.Name) {
					kept = append(kept, p)
					break
				}
			}
		}
		t.Passwords = kept
	}
	if null || b.Certificates.Set {
		t.Certificates = nil
		for _, cert := range b.Certificates.Value {
			t.Certificates = append(t.Certificates, acr.TokenCertificate{Name: cert.Name, Expiry: cert.Expiry, Thumbprint: cert.Thumbprint, PEM: cert.PEM})
		}
	}
}

func generateCredentials(c *call) error {
	var in struct {
		TokenID string     `json:"tokenId"`
		Expiry  *time.Time `json:"expiry"`
		Name    string     `json:"name"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	id, err := arm.ParseID(in.TokenID)
	if err != nil {
		return err
	}
	t, made, err := c.opt.Resources.GenerateCredentials(c.ctx, c.path.ID(), resource.Generate{Token: id, Name: strings.ToLower(in.Name), Expiry: in.Expiry})
	return writeGenerated(c, t, made, err)
}

// rotatePassword has the holder of a token renew one of its passwords: acre's own.
func rotatePassword(c *call) error {
	var in struct {
		Expiry *time.Time `json:"expiry"`
		Name   string     `json:"name"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	t, made, err := c.opt.Resources.RotatePassword(c.ctx, resource.Generate{Token: c.path.ID(), Name: strings.ToLower(in.Name), Expiry: in.Expiry})
	return writeGenerated(c, t, made, err)
}

func writeGenerated(c *call, t acr.Token, made []resource.Generated, err error) error {
	if err != nil {
		return err
	}
	out := struct {
		Username  string              `json:"username"`
		Passwords []tokenPasswordWire `json:"passwords"`
	}{t.Name, []tokenPasswordWire{}}
	for _, p := range made {
		out.Passwords = append(out.Passwords, wirePassword(p.TokenPassword, p.Value))
	}
	return c.write(http.StatusOK, out)
}

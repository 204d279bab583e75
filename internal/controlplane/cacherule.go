package controlplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) cacheRuleRow() *row {
	return rowOf(document[acr.CacheRule]{
		kind: f.opt.Resources.CacheRules, row: row{provider: arm.Provider, types: "registries/cacheRules"},
		encode: encodeCacheRule, decode: decodeCacheRule, gone: goneAccepted,
	})
}

type cacheRuleWire struct {
	Type       string              `json:"type"`
	ID         string              `json:"id"`
	Name       string              `json:"name"`
	Identity   *assignedWire       `json:"identity,omitempty"`
	SystemData *systemData         `json:"systemData,omitempty"`
	Properties cacheRuleProperties `json:"properties"`
}

type cacheRuleProperties struct {
	CredentialSetResourceID *string     `json:"credentialSetResourceId"`
	SourceRepository        string      `json:"sourceRepository"`
	TargetRepository        string      `json:"targetRepository"`
	CreationDate            string      `json:"creationDate"`
	ProvisioningState       string      `json:"provisioningState"`
	Additional              *googleWire `json:"additionalAuthenticationProperties,omitempty"`
}

type googleWire struct {
	AuthenticationType string `json:"authenticationType"`
	ProjectNumber      string `json:"projectNumber"`
	Pool               string `json:"workloadIdentityPool"`
	Provider           string `json:"workloadIdentityProvider"`
}

const googleAuthentication = "GoogleArtifactRegistry"

func encodeCacheRule(c *call, kept resource.Kept[acr.CacheRule]) any {
	r := kept.Doc
	out := cacheRuleWire{
		Type: arm.Provider + "/registries/cacheRules", ID: kept.ID.String(), Name: r.Name, Identity: wireAssigned(c, r.Identity), SystemData: wireSystem(r.System),
		Properties: cacheRuleProperties{nil, r.Source, r.Target, wireTime(r.CreatedAt), succeeded, nil},
	}
	if r.CredentialSet != "" {
		id := kept.In.ID.Child("credentialSets", r.CredentialSet).String()
		out.Properties.CredentialSetResourceID = &id
	}
	if g := r.Google; g != nil {
		out.Properties.Additional = &googleWire{googleAuthentication, g.ProjectNumber, g.Pool, g.Provider}
	}
	return out
}

func decodeCacheRule(c *call, r *acr.CacheRule, isNew bool) error {
	var in struct {
		Identity   member[assignedBody] `json:"identity"`
		Properties struct {
			CredentialSetResourceID member[string]     `json:"credentialSetResourceId"`
			SourceRepository        member[string]     `json:"sourceRepository"`
			TargetRepository        member[string]     `json:"targetRepository"`
			Additional              member[googleWire] `json:"additionalAuthenticationProperties"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	p := in.Properties
	if c.r.Method == http.MethodPut {
		r.CredentialSet, r.Google = "", nil
		if isNew && (p.SourceRepository.Value == "" || p.TargetRepository.Value == "") {
			return fault.New(fault.Invalid, "The cache rule '%s' needs a sourceRepository, such as docker.io/library/ubuntu, and a targetRepository, such as ubuntu.", c.path.ID().Name())
		}
	}
	if p.SourceRepository.Value != "" {
		r.Source = p.SourceRepository.Value
	}
	if p.TargetRepository.Value != "" {
		r.Target = p.TargetRepository.Value
	}
	if p.CredentialSetResourceID.Set {
		name, err := c.sibling("credentialSetResourceId", p.CredentialSetResourceID.Value, "credentialSets", "credential set")
		if err != nil {
			return err
		}
		r.CredentialSet = name
	}
	if p.Additional.Set {
		google, err := p.Additional.Value.google(p.Additional.Null)
		if err != nil {
			return err
		}
		r.Google = google
	}
	return assign(c, in.Identity, &r.Identity)
}

func (g googleWire) google(null bool) (*acr.GoogleFederated, error) {
	if null {
		return nil, nil
	}
	if g.AuthenticationType != googleAuthentication {
		return nil, fault.New(fault.Invalid, "The authenticationType '%.60s' of additionalAuthenticationProperties is not known: use %s.", g.AuthenticationType, googleAuthentication)
	}
	return &acr.GoogleFederated{ProjectNumber: g.ProjectNumber, Pool: g.Pool, Provider: g.Provider}, nil
}

// sibling is the name in the ID of another resource of the same registry; "" for none.
func (c *call) sibling(name, id, kind, word string) (string, error) {
	if strings.TrimSpace(id) == "" {
		return "", nil
	}
	other, err := arm.ParseID(id)
	if err != nil {
		return "", fault.New(fault.Invalid, "The %s: %w", name, err)
	}
	of, nested := other.Parent()
	reg, _ := c.path.ID().Parent()
	if !nested || other.Type() != strings.ToLower("registries/"+kind) || of.Key() != reg.Key() {
		return "", fault.New(fault.Invalid, "The %s '%.300s' is not the ID of a %s of registry %s.", name, id, word, reg.Name())
	}
	return other.Name(), nil
}

package controlplane

import (
	"net/http"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) credentialSetRow() *row {
	return rowOf(document[acr.CredentialSet]{
		kind: f.opt.Resources.CredentialSets, row: row{provider: arm.Provider, types: "registries/credentialSets"},
		encode: encodeCredentialSet, decode: decodeCredentialSet, gone: goneAccepted,
	})
}

type credentialSetWire struct {
	Type       string                  `json:"type"`
	ID         string                  `json:"id"`
	Name       string                  `json:"name"`
	Identity   *assignedWire           `json:"identity,omitempty"`
	SystemData *systemData             `json:"systemData,omitempty"`
	Properties credentialSetProperties `json:"properties"`
}

type credentialSetProperties struct {
	LoginServer       string               `json:"loginServer"`
	AuthCredentials   []authCredentialWire `json:"authCredentials"`
	CreationDate      string               `json:"creationDate"`
	ProvisioningState string               `json:"provisioningState"`
}

type authCredentialWire struct {
	Name           string                `json:"name"`
	UsernameSecret string                `json:"usernameSecretIdentifier"`
	PasswordSecret string                `json:"passwordSecretIdentifier"`
	Health         *credentialHealthWire `json:"credentialHealth,omitempty"`
}

type credentialHealthWire struct {
	Status       string `json:"status"`
	ErrorCode    string `json:"errorCode,omitempty"`
	ErrorMessage string `json:"errorMessage,omitempty"`
}

func encodeCredentialSet(c *call, kept resource.Kept[acr.CredentialSet]) any {
	d := kept.Doc
	out := credentialSetWire{
		Type: arm.Provider + "/registries/credentialSets", ID: kept.ID.String(), Name: d.Name, Identity: wireAssigned(c, d.Identity), SystemData: wireSystem(d.System),
		Properties: credentialSetProperties{d.LoginServer, []authCredentialWire{}, wireTime(d.CreatedAt), succeeded},
	}
	for _, cred := range d.Credentials {
		out.Properties.AuthCredentials = append(out.Properties.AuthCredentials, authCredentialWire{cred.Name, cred.UsernameSecret, cred.PasswordSecret,
			&credentialHealthWire{"Unhealthy", notAvailable.Name, "Reading secrets of key vaults is not available in this version: the credential was not tried."}})
	}
	return out
}

func decodeCredentialSet(c *call, d *acr.CredentialSet, isNew bool) error {
	var in struct {
		Identity   member[assignedBody] `json:"identity"`
		Properties struct {
			LoginServer     member[string]               `json:"loginServer"`
			AuthCredentials member[[]authCredentialWire] `json:"authCredentials"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	p := in.Properties
	if c.r.Method == http.MethodPut && (isNew && p.LoginServer.Value == "" || !p.AuthCredentials.Set) {
		return fault.New(fault.Invalid, "The credential set '%s' needs a loginServer, such as docker.io, and authCredentials.", c.path.ID().Name())
	}
	if p.LoginServer.Value != "" {
		d.LoginServer = p.LoginServer.Value
	}
	if p.AuthCredentials.Set {
		d.Credentials = make([]acr.AuthCredential, len(p.AuthCredentials.Value))
		for i, cred := range p.AuthCredentials.Value {
			d.Credentials[i] = acr.AuthCredential{Name: spelled(cred.Name, acr.Credential1), UsernameSecret: cred.UsernameSecret, PasswordSecret: cred.PasswordSecret}
		}
	}
	return assign(c, in.Identity, &d.Identity)
}

package identity_test

import (
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The discovery documents, by whichever name, port and letter case the client comes.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, path := range map[string]string{
		"discovery_v2":        "/" + tenant + "/v2.0/.well-known/openid-configuration?",
		"discovery_v2_common": "/common/v2.0/.well-known/openid-configuration",
		"discovery_v1":        "/acre.localhost/.well-known/openid-configuration?api-version=1.0",
		"discovery_adfs":      "/adfs/.well-known/openid-configuration",
		"discovery_instance":  "/common/discovery/instance?api-version=1.1&authorization_endpoint=https%3A%2F%2Flogin.acre.test%3A8443%2F" + tenant + "%2Foauth2%2Fv2.0%2Fauthorize",
		"user_realm":          "/common/UserRealm/owner@acre.localhost?api-version=1.0",
		"tenant_unknown":      "/nobody.example/v2.0/.well-known/openid-configuration",
		"instance_unknown":    "/common/discovery/instance?authorization_endpoint=https%3A%2F%2Fevil.example%2Fcommon",
		"instance_malformed":  "/common/discovery/instance?authorization_endpoint=x",
		"keys":                "/common/discovery/v2.0/keys",
	} {
		s.golden(name, s.do("GET", path, ""))
	}
	a := s.do("GET", "//"+strings.ToUpper(tenant)+"//V2.0/.WELL-KNOWN/OpenID-Configuration", "", "Host", "Login.Acre.Test:8443").want(t, 200).json(t)
	if a["issuer"] != "https://Login.Acre.Test:8443/"+tenant+"/v2.0" || a["msgraph_host"] == "" {
		t.Errorf("issuer %v", a["issuer"])
	}
	cloud := s.do("GET", "/organizations/v2.0/.well-known/openid-configuration", "", "Host", "login.microsoftonline.com").want(t, 200).json(t)
	if cloud["token_endpoint"] != "https://login.microsoftonline.com/organizations/oauth2/v2.0/token" || cloud["msgraph_host"] != "graph.microsoft.com" {
		t.Errorf("%v", cloud)
	}
}

// Tokens verify with the published keys, whose certificates are of the same key.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := open(t)
	var set struct {
		Keys []struct {
			ID          string   `json:"kid"`
			Certificate []string `json:"x5c"`
		}
	}
	a := s.do("GET", "/"+tenant+"/discovery/keys", "").want(t, 200)
	decode(t, a.body, &set)
	var jwks jose.JSONWebKeySet
	decode(t, a.body, &jwks)
	signed, err := jose.ParseSigned(s.token(arm), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	id := signed.Signatures[0].Header.KeyID
	found := jwks.Key(id)
	if len(found) != 1 {
		t.Fatalf("key %q is not among %s", id, a.body)
	}
	if _, err := signed.Verify(found[0].Key); err != nil {
		t.Error(err)
	}
	der, err := base64.StdEncoding.DecodeString(set.Keys[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	crt, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signed.Verify(crt.PublicKey); err != nil {
		t.Errorf("the certificate is of another key: %v", err)
	}
}

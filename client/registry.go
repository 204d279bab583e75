package client

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// base is the URL of a login server: HTTPS, unless it says otherwise or is on this machine and speaks none, as docker has it.
func (o Options) base(ctx context.Context, server string) string {
	if strings.Contains(server, "://") {
		return strings.TrimRight(server, "/")
	}
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		host = server
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	if host != "localhost" && !strings.HasSuffix(host, ".localhost") && !ip.IsLoopback() {
		return "https://" + server
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+server+"/v2/", nil)
	if err != nil {
		return "https://" + server // whoever uses it says what is wrong
	}
	resp, err := o.http().Do(req)
	if err == nil {
		resp.Body.Close()
	}
	if plain := new(tls.RecordHeaderError); errors.As(err, plain) || err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return "http://" + server
	}
	return "https://" + server
}

// hostOf is a login server as docker names it.
func hostOf(server string) string {
	if _, host, found := strings.Cut(server, "://"); found {
		return strings.TrimRight(host, "/")
	}
	return server
}

// registryAudience is what tokens for registries are for, in every cloud.
const registryAudience = "https://containerregistry.azure.net"

// exchange makes an identity's token one of the registry's: a refresh token, which stands in for a password. A token for
// registries is tried first, for a registry may refuse those for the management API; where none can be had, one of these.
func (o Options) exchange(ctx context.Context, server string, who azcore.TokenCredential, tenant string) (string, error) {
	refresh, err := o.exchangeFor(ctx, registryAudience, server, who, tenant)
	if err != nil {
		var other error
		if refresh, other = o.exchangeFor(ctx, o.cloud().Audience, server, who, tenant); other == nil {
			return refresh, nil
		}
	}
	return refresh, err
}

func (o Options) exchangeFor(ctx context.Context, audience, server string, who azcore.TokenCredential, tenant string) (string, error) {
	token, err := who.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}, TenantID: tenant})
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"access_token"}, "service": {hostOf(server)}, "access_token": {token.Token}}
	if tenant != "" {
		form.Set("tenant", tenant)
	}
	var body struct {
		Refresh string `json:"refresh_token"`
	}
	if err := o.post(ctx, o.base(ctx, server)+"/oauth2/exchange", form, &body); err != nil {
		return "", fmt.Errorf("exchange the token at %s: %w", server, err)
	}
	return body.Refresh, nil
}

func (o Options) post(ctx context.Context, to string, form url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return o.do(req, into)
}

func (o Options) do(req *http.Request, into any) error {
	resp, err := o.http().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	return read(resp, into)
}

// Access is what a login may do in a registry.
type Access struct {
	Registry   []string `json:"registry"`   // actions on the registry itself: catalog
	Repository string   `json:"repository"` // the one that was asked about; * where the question was about all
	Actions    []string `json:"actions"`    // pull, push, delete, metadata_read …; empty: none
}

// asked are the actions that Access asks about.
const asked = "pull,push,delete,metadata_read,metadata_write"

// challengeParam reads a parameter of a challenge.
var challengeParam = regexp.MustCompile(`([a-z]+)="([^"]*)"`)

// Access logs in to the registry and tells what may be done there with a repository, or, where it is "" or *, with every
// one. Errors: *Error with status 401 where the login is not right.
func (c Credential) Access(ctx context.Context, repository string, opt Options) (Access, error) {
	if repository == "" {
		repository = "*"
	}
	realm, service, err := opt.challenge(ctx, c.Server)
	if err != nil {
		return Access{}, err
	}
	query := url.Values{"service": {service}, "scope": {"registry:catalog:*", "repository:" + repository + ":" + asked}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm+"?"+query.Encode(), nil)
	if err != nil {
		return Access{}, err
	}
	req.SetBasicAuth(c.Username, c.Password)
	var body struct {
		Access string `json:"access_token"`
	}
	if err := opt.do(req, &body); err != nil {
		return Access{}, fmt.Errorf("log in to %s as %s: %w", c.Server, c.Username, err)
	}
	return accessOf(body.Access, repository)
}

// challenge asks a registry where its tokens come from. It is asked over HTTPS, or over the plain HTTP of this machine; a
// password is sent to the registry's own host alone.
func (o Options) challenge(ctx context.Context, server string) (realm, service string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.base(ctx, server)+"/v2/", nil)
	if err != nil {
		return "", "", fmt.Errorf("%.200q is no login server: %w", server, err)
	}
	resp, err := o.http().Do(req)
	if err != nil {
		return "", "", fmt.Errorf("ask %s how to log in: %w", server, err)
	}
	resp.Body.Close()
	header := resp.Header.Get("WWW-Authenticate")
	if !strings.HasPrefix(strings.ToLower(header), "bearer ") {
		return "", "", fmt.Errorf("%s gives no tokens (it answered %s): is it a container registry?", server, resp.Status)
	}
	for _, m := range challengeParam.FindAllStringSubmatch(header, -1) {
		switch m[1] {
		case "realm":
			realm = m[2]
		case "service":
			service = m[2]
		}
	}
	at, err := url.Parse(realm)
	if err != nil || !strings.EqualFold(at.Hostname(), req.URL.Hostname()) || at.Scheme != req.URL.Scheme {
		return "", "", fmt.Errorf("%s sends logins to %.200q: a password is sent to the registry's own host alone", server, realm)
	}
	return realm, service, nil
}

// accessOf reads the access that a token gives. Nothing is decided by it: the registry that gave the token checks it.
func accessOf(token, repository string) (Access, error) {
	a := Access{Repository: repository, Registry: []string{}, Actions: []string{}}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return a, nil // an opaque token says nothing
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Access []struct {
			Type, Name string
			Actions    []string
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		return a, fmt.Errorf("the registry's token cannot be read: %w", err)
	}
	for _, s := range claims.Access {
		switch {
		case s.Type == "registry" && slices.Contains(s.Actions, "*"):
			a.Registry = append(a.Registry, s.Name)
		case s.Type == "repository" && s.Name == repository:
			a.Actions = append(a.Actions, s.Actions...)
		}
	}
	return a, nil
}

// Registry is the registry that the credential is of, for programs: everything the distribution API offers.
func (c Credential) Registry(ctx context.Context, opt Options) (*remote.Registry, error) {
	at := opt.base(ctx, c.Server)
	reg, err := remote.NewRegistry(hostOf(at))
	if err != nil {
		return nil, fmt.Errorf("%.200q is no login server: %w", c.Server, err)
	}
	reg.PlainHTTP = strings.HasPrefix(at, "http://")
	reg.Client = &auth.Client{
		Client: opt.http(), Cache: auth.NewCache(),
		Credential: auth.StaticCredential(hostOf(at), auth.Credential{Username: c.Username, Password: c.Password}),
	}
	return reg, nil
}

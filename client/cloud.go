package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Cloud is where a cloud's parts are: the public one, or an acre server.
type Cloud struct {
	Login      string // URL of the identity provider
	Management string // URL of the management API
	Audience   string // what tokens for the management API are for
	Suffix     string // of registries' login servers, without a dot in front
}

// PublicCloud is Azure's.
var PublicCloud = Cloud{
	Login:      "https://login.microsoftonline.com",
	Management: "https://management.azure.com",
	Audience:   "https://management.azure.com",
	Suffix:     "azurecr.io",
}

// Options are how a program's requests are made. The zero value is the public cloud's, with Go's default transport, which
// heeds the proxy that the environment names.
type Options struct {
	Cloud Cloud
	HTTP  *http.Client // nil: one with Go's default transport
	// Identity stands for who asks, where neither a login nor managed_identity_client_id says so; nil: the default chain of
	// the Azure SDKs (environment, workload identity, managed identity, az).
	Identity azcore.TokenCredential
}

func (o Options) cloud() Cloud {
	if o.Cloud == (Cloud{}) {
		return PublicCloud
	}
	return o.Cloud
}

func (o Options) http() *http.Client {
	if o.HTTP == nil {
		return http.DefaultClient
	}
	return o.HTTP
}

// azure is how the Azure SDKs are to make their requests.
func (o Options) azure() policy.ClientOptions {
	c := o.cloud()
	return policy.ClientOptions{
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: c.Login + "/",
			Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Audience: c.Audience, Endpoint: c.Management}},
		},
		Transport: o.http(),
	}
}

// private tells whether the identity provider is not one of Microsoft's, which know nothing of it.
func (o Options) private() bool { return o.cloud().Login != PublicCloud.Login }

// Discover asks a management API where the other parts of its cloud are. The URL is that of an acre server, or of any
// cloud's management API.
func Discover(ctx context.Context, management string, client *http.Client) (Cloud, error) {
	management = strings.TrimRight(management, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, management+"/metadata/endpoints?api-version=2022-09-01", nil)
	if err != nil {
		return Cloud{}, fmt.Errorf("%.200q is no URL of a management API: %w", management, err)
	}
	resp, err := (Options{HTTP: client}).http().Do(req)
	if err != nil {
		return Cloud{}, fmt.Errorf("ask %s for the endpoints of its cloud: %w", management, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Cloud{}, refused(resp)
	}
	var body struct {
		ResourceManager string `json:"resourceManager"`
		Authentication  struct {
			LoginEndpoint string   `json:"loginEndpoint"`
			Audiences     []string `json:"audiences"`
		} `json:"authentication"`
		Suffixes struct {
			ACR string `json:"acrLoginServer"`
		} `json:"suffixes"`
	}
	if err := read(resp, &body); err != nil {
		return Cloud{}, err
	}
	c := Cloud{
		Login: strings.TrimRight(body.Authentication.LoginEndpoint, "/"), Management: strings.TrimRight(body.ResourceManager, "/"),
		Suffix: strings.TrimPrefix(body.Suffixes.ACR, "."),
	}
	if len(body.Authentication.Audiences) > 0 {
		c.Audience = strings.TrimRight(body.Authentication.Audiences[0], "/")
	}
	if c.Login == "" || c.Management == "" || c.Audience == "" {
		return Cloud{}, fmt.Errorf("%s does not say where its cloud signs in: is it a management API?", management)
	}
	return c, nil
}

// Error is what a server refused with.
type Error struct {
	Status  int    // of HTTP
	Code    string // the server's word for it, such as AuthorizationFailed
	Message string // for people
}

func (e *Error) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return "(" + e.Code + ") " + e.Message
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 16 << 20

func read(resp *http.Response, into any) error {
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("the answer of %s is no JSON: %w", resp.Request.URL.Host, err)
	}
	return nil
}

// refused reads an error of the management API, of a registry or of a token endpoint.
func refused(resp *http.Response) error {
	var body struct {
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
		Errors      []struct{ Code, Message string }
	}
	e := &Error{Status: resp.StatusCode, Message: fmt.Sprintf("%s answered %s", resp.Request.URL.Host, resp.Status)}
	if json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body) != nil {
		return e
	}
	var inner struct{ Code, Message string }
	switch {
	case len(body.Errors) > 0:
		e.Code, e.Message = body.Errors[0].Code, body.Errors[0].Message
	case body.Description != "":
		e.Message, _, _ = strings.Cut(body.Description, "\r\n")
	case json.Unmarshal(body.Error, &inner) == nil && inner.Message != "":
		e.Code, e.Message = inner.Code, inner.Message
	}
	return e
}

// management asks the management API as an identity.
type management struct {
	cloud    Cloud
	pipeline runtime.Pipeline
}

func (o Options) management(who azcore.TokenCredential) *management {
	azure := o.azure()
	bearer := runtime.NewBearerTokenPolicy(who, []string{o.cloud().Audience + "/.default"}, &policy.BearerTokenOptions{
		InsecureAllowCredentialWithHTTP: strings.HasPrefix(o.cloud().Management, "http://"), // a server on this machine
	})
	return &management{o.cloud(), runtime.NewPipeline("acre", version, runtime.PipelineOptions{PerRetry: []policy.Policy{bearer}}, &azure)}
}

// version is what the requests say that they come from.
const version = "v1"

// Versions of the management API that are asked.
const (
	registryVersion     = "2025-11-01"
	subscriptionVersion = "2022-12-01"
)

func (m *management) ask(ctx context.Context, method, path, apiVersion string, into any) error {
	at := path
	if !strings.HasPrefix(path, m.cloud.Management+"/") {
		at = m.cloud.Management + path + "?api-version=" + apiVersion
	}
	req, err := runtime.NewRequest(ctx, method, at)
	if err != nil {
		return err
	}
	resp, err := m.pipeline.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	return read(resp, into)
}

// maxPages bounds a list whose pages do not end.
const maxPages = 1000

// list reads a list to its end, by the links of its pages, which stay with the management API.
func list[T any](ctx context.Context, m *management, path, apiVersion string) (all []T, err error) {
	for range maxPages {
		var page struct {
			Value    []T    `json:"value"`
			NextLink string `json:"nextLink"`
		}
		if err := m.ask(ctx, http.MethodGet, path, apiVersion, &page); err != nil {
			return nil, err
		}
		if all = append(all, page.Value...); page.NextLink == "" {
			return all, nil
		}
		next, err := url.Parse(page.NextLink)
		if err != nil {
			return nil, fmt.Errorf("the next page of %s is no URL: %.200q", path, page.NextLink)
		}
		path = m.cloud.Management + next.RequestURI()
	}
	return nil, fmt.Errorf("the list %s does not end", path)
}

// registryResource is what is read of a registry's resource.
type registryResource struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Properties struct {
		LoginServer      string `json:"loginServer"`
		AdminUserEnabled bool   `json:"adminUserEnabled"`
	} `json:"properties"`
}

// admin reads the name and the first password of a registry's admin user.
func (m *management) admin(ctx context.Context, registry string) (user, password string, err error) {
	var body struct {
		Username  string `json:"username"`
		Passwords []struct {
			Value string `json:"value"`
		} `json:"passwords"`
	}
	if err := m.ask(ctx, http.MethodPost, registry+"/listCredentials", registryVersion, &body); err != nil {
		return "", "", err
	}
	if len(body.Passwords) == 0 {
		return "", "", errors.New("the registry's admin user has no password")
	}
	return body.Username, body.Passwords[0].Value, nil
}

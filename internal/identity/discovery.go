package identity

import (
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// The cloud's own names for its login service: one authority under several.
var cloudLogins = []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"}

// host is the name, and port, by which the client came.
func host(r *http.Request) string { return r.Host }

// origin is where the client finds us: every URL in an answer begins with it.
func origin(r *http.Request) string { return web.Scheme(r) + "://" + host(r) }

// assertionOrigin is the origin that assertions of clients may be made out to: the one they came by where that is this
// server's for sure, else none but the issuer. What was signed for somebody else's host must not hold because it is
// passed on under that host's name.
func (f *Face) assertionOrigin(r *http.Request) string {
	if !f.ownHost(r.Host) {
		return ""
	}
	return origin(r)
}

// metadata is an OpenID Provider's (OpenID Connect Discovery 1.0), as Entra fills it in.
type metadata struct {
	TokenEndpoint    string   `json:"token_endpoint"`
	TokenAuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	JWKS             string   `json:"jwks_uri"`
	ResponseModes    []string `json:"response_modes_supported"`
	SubjectTypes     []string `json:"subject_types_supported"`
	Algorithms       []string `json:"id_token_signing_alg_values_supported"`
	ResponseTypes    []string `json:"response_types_supported"`
	Scopes           []string `json:"scopes_supported"`
	Issuer           string   `json:"issuer"`
	Authorization    string   `json:"authorization_endpoint"`
	Device           string   `json:"device_authorization_endpoint"`
	HTTPLogout       bool     `json:"http_logout_supported"`
	EndSession       string   `json:"end_session_endpoint"`
	Claims           []string `json:"claims_supported"`
	Challenges       []string `json:"code_challenge_methods_supported"`
	Region           *string  `json:"tenant_region_scope"`
	CloudInstance    string   `json:"cloud_instance_name"`
	CloudGraph       string   `json:"cloud_graph_host_name"`
	Graph            string   `json:"msgraph_host"`
}

func newMetadata(r *http.Request) metadata {
	return metadata{
		TokenAuthMethods: []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		ResponseModes:    []string{"query", "form_post"},
		SubjectTypes:     []string{"pairwise"},
		Algorithms:       []string{"RS256"},
		ResponseTypes:    []string{"code"},
		Scopes:           []string{"openid", "profile", "email", "offline_access"},
		HTTPLogout:       true,
		Claims: []string{"sub", "iss", "aud", "exp", "iat", "nbf", "nonce", "preferred_username", "name", "tid", "oid",
			"ver", "upn"},
		Challenges:    []string{"S256"},
		CloudInstance: host(r),
		CloudGraph:    graphHost(host(r)),
		Graph:         graphHost(host(r)),
	}
}

// graphHost is the directory's name beside the login service's: graph.x where that is login.x, else the same.
func graphHost(login string) string {
	if slices.Contains(cloudLogins, strings.ToLower(login)) {
		return "graph.microsoft.com"
	}
	if rest, found := strings.CutPrefix(login, "login."); found {
		return "graph." + rest
	}
	return login
}

// metadataV2 answers /{t}/v2.0/.well-known/openid-configuration.
func (f *Face) metadataV2(c *call) error {
	tenant, err := f.tenant(c)
	if err != nil {
		return err
	}
	m := newMetadata(c.r)
	base := origin(c.r) + "/" + tenant
	m.Issuer = base + "/v2.0"
	if tenant != f.opt.Directory.Tenant() { // one document for all tenants names none
		m.Issuer = origin(c.r) + "/{tenantid}/v2.0"
	}
	m.TokenEndpoint, m.Authorization = base+"/oauth2/v2.0/token", base+"/oauth2/v2.0/authorize"
	m.Device, m.EndSession = base+"/oauth2/v2.0/devicecode", base+"/oauth2/v2.0/logout"
	m.JWKS = base + "/discovery/v2.0/keys"
	return c.cacheable(m)
}

// metadataV1 answers /{t}/.well-known/openid-configuration, whose issuer is that of access tokens.
func (f *Face) metadataV1(c *call) error {
	tenant, err := f.tenant(c)
	if err != nil {
		return err
	}
	m := newMetadata(c.r)
	base := origin(c.r) + "/" + tenant
	m.Issuer = f.opt.Directory.Issuer()
	if tenant != f.opt.Directory.Tenant() {
		m.Issuer = strings.Replace(m.Issuer, f.opt.Directory.Tenant(), "{tenantid}", 1)
	}
	m.TokenEndpoint, m.Authorization = base+"/oauth2/token", base+"/oauth2/authorize"
	m.Device, m.EndSession = base+"/oauth2/devicecode", base+"/oauth2/logout"
	m.JWKS = origin(c.r) + "/common/discovery/keys"
	return c.cacheable(m)
}

// metadataADFS answers /adfs/.well-known/openid-configuration, for clients that take us for a server of that kind.
func (f *Face) metadataADFS(c *call) error {
	m := newMetadata(c.r)
	base := origin(c.r) + "/adfs"
	m.Issuer = base
	m.TokenEndpoint, m.Authorization = base+"/oauth2/token", base+"/oauth2/authorize"
	m.Device, m.EndSession = base+"/oauth2/devicecode", base+"/oauth2/logout"
	m.JWKS = base + "/discovery/keys"
	return c.cacheable(m)
}

// instance answers /{t}/discovery/instance: it vouches for our own names, by each of which it is asked about others.
func (f *Face) instance(c *call) error {
	asked := c.r.URL.Query().Get("authorization_endpoint")
	u, err := url.Parse(asked)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != web.Scheme(c.r) {
		return failure(fault.Invalid, "invalid_request", 90013, "Invalid input received from the user: authorization_endpoint is not the URL of one.")
	}
	if !f.ours(c.r, u.Host) {
		return failure(fault.Invalid, "invalid_instance", 50049, "Unknown or invalid instance.")
	}
	tenant := "common"
	if segments := split(u.Path); len(segments) > 0 {
		tenant = segments[0]
	}
	type network struct {
		Preferred string   `json:"preferred_network"`
		Cache     string   `json:"preferred_cache"`
		Aliases   []string `json:"aliases"`
	}
	answer := struct {
		Endpoint string    `json:"tenant_discovery_endpoint"`
		Version  string    `json:"api-version"`
		Metadata []network `json:"metadata"`
	}{u.Scheme + "://" + u.Host + "/" + url.PathEscape(tenant) + "/v2.0/.well-known/openid-configuration", "1.1",
		[]network{{cloudLogins[0], cloudLogins[1], cloudLogins}}}
	if !slices.Contains(cloudLogins, strings.ToLower(u.Host)) {
		aliases := []string{u.Host}
		if name := u.Hostname(); name != u.Host {
			aliases = append(aliases, name)
		}
		answer.Metadata = append(answer.Metadata, network{u.Host, u.Host, aliases})
	}
	return c.cacheable(answer)
}

// ours tells whether a host, with or without a port, is a name of this server.
func (f *Face) ours(r *http.Request, asked string) bool {
	return strings.EqualFold(asked, host(r)) || f.opt.Hosts != nil && f.opt.Hosts(strings.ToLower(hostName(asked)))
}

// realm answers /common/userrealm/{user}: everybody signs in here.
func (f *Face) realm(c *call) error {
	if _, err := f.tenant(c); err != nil {
		return err
	}
	user := c.words[1]
	domain := user
	if _, d, found := strings.Cut(user, "@"); found {
		domain = d
	}
	return web.WriteJSON(c.w, http.StatusOK, struct {
		Version  string `json:"ver"`
		Account  string `json:"account_type"`
		Domain   string `json:"domain_name"`
		Instance string `json:"cloud_instance_name"`
		Audience string `json:"cloud_audience_urn"`
	}{"1.0", "Managed", domain, host(c.r), "urn:federation:MicrosoftOnline"})
}

// jwk is a key of a JSON Web Key Set (RFC 7517).
type jwk struct {
	Type        string   `json:"kty"`
	Use         string   `json:"use"`
	ID          string   `json:"kid"`
	Thumbprint  string   `json:"x5t"`
	Modulus     string   `json:"n"`
	Exponent    string   `json:"e"`
	Certificate []string `json:"x5c"`
}

// keys answers the paths of the JSON Web Key Set.
func (f *Face) keys(c *call) error {
	list, err := f.opt.Directory.Keys(c.r.Context())
	if err != nil {
		return err
	}
	set := struct {
		Keys []jwk `json:"keys"`
	}{[]jwk{}}
	for _, k := range list {
		set.Keys = append(set.Keys, jwk{
			"RSA", "sig", k.ID, k.ID, base64.RawURLEncoding.EncodeToString(k.Public.N.Bytes()),
			base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.Public.E)).Bytes()),
			[]string{base64.StdEncoding.EncodeToString(k.Certificate)},
		})
	}
	return c.cacheable(set)
}

package identity

import (
	"cmp"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// errNotMetadata answers those who look whether there is a metadata service, and all who did not mean one: a browser, or
// a server that was talked into asking, cannot set the header.
var errNotMetadata = failure(fault.Invalid, "bad_request", 90130, "Required metadata header not specified or not correct")

var errNoMetadata = fault.New(fault.NotFound, "this server gives no tokens to managed identities: switch identity.metadata on, or start it with --dev")

// metadataToken answers GET /metadata/identity/oauth2/token, as a virtual machine's metadata service does.
func (f *Face) metadataToken(c *call) error {
	if !f.opt.Metadata {
		return errNoMetadata
	}
	if !strings.EqualFold(c.r.Header.Get("Metadata"), "true") {
		return errNotMetadata
	}
	c.login = &login{} // but for those who only look whether there is a service
	if err := f.fromHere(c); err != nil {
		return err
	}
	return f.managedToken(c, c.r.URL.Query())
}

// appServiceToken answers GET /msi/token, as App Service does in both of its versions.
func (f *Face) appServiceToken(c *call) error {
	c.login = &login{}
	sent := c.r.Header.Get("X-Identity-Header")
	if sent == "" {
		sent = c.r.Header.Get("Secret")
	}
	if f.opt.MetadataSecret == "" || subtle.ConstantTimeCompare([]byte(sent), []byte(f.opt.MetadataSecret)) != 1 {
		return failure(fault.Unauthenticated, "invalid_client", 0,
			"The header X-IDENTITY-HEADER, or secret, does not hold this server's; it is the setting of the metadata endpoint.")
	}
	return f.managedToken(c, c.r.URL.Query())
}

// shellToken answers POST /msi/token, as Cloud Shell does.
func (f *Face) shellToken(c *call) error {
	if !f.opt.Metadata {
		return errNoMetadata
	}
	if !strings.EqualFold(c.r.Header.Get("Metadata"), "true") {
		return errNotMetadata
	}
	c.login = &login{}
	if err := f.fromHere(c); err != nil {
		return err
	}
	form, err := c.form()
	if err != nil {
		return err
	}
	return f.managedToken(c, form)
}

// fromHere refuses who is not on this machine, came through a proxy on it, or was led here by a name of somebody else's: a
// page in a browser here could ask under a name of its own that it has pointed at this machine. Errors: fault.Blocked.
func (f *Face) fromHere(c *call) error {
	switch a := c.info.Address; {
	case c.r.Header.Get("X-Forwarded-For") != "" || c.r.Header.Get("Forwarded") != "":
		return fault.New(fault.Blocked, "tokens of managed identities are for programs on this machine, and not for proxies")
	case !a.IsLoopback():
		return fault.New(fault.Blocked, "tokens of managed identities are for programs on this machine, and %s is not its address", a)
	case !f.ownHost(c.r.Host):
		return fault.New(fault.Blocked, "tokens of managed identities are not given out under the name %.100q", hostName(c.r.Host))
	}
	return nil
}

// ownHost tells whether a host is surely this server: an address, this machine, or one of its names.
func (f *Face) ownHost(host string) bool {
	name := strings.ToLower(hostName(host))
	_, notIP := netip.ParseAddr(name)
	return notIP == nil || name == "localhost" || f.opt.Hosts != nil && f.opt.Hosts(name)
}

// hostName is a host without its port and brackets.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// managedToken reads the identity and the resource in the words of every flavour.
func (f *Face) managedToken(c *call, q url.Values) error {
	first := func(names ...string) string {
		for _, n := range names {
			if v := q.Get(n); v != "" {
				return v
			}
		}
		return ""
	}
	ask := directory.ManagedAsk{
		Resource:   q.Get("resource"),
		ClientID:   first("client_id", "clientid"),
		ObjectID:   first("object_id", "principal_id"),
		ResourceID: first("msi_res_id", "mi_res_id"),
	}
	c.login.name, c.login.client = cmp.Or(ask.ClientID, ask.ObjectID, ask.ResourceID), ask.ClientID
	t, err := f.opt.Directory.ManagedToken(auth.As(c.r.Context(), auth.System("metadata")), ask)
	if err != nil {
		return err
	}
	c.info.Actor = t.ClientID
	c.login.granted(t)
	v := versionOne(t)
	v.ClientID = t.ClientID
	return web.WriteJSON(c.w, http.StatusOK, v)
}

// tokenV1 is an answer of version 1 and of the metadata endpoints: its numbers are strings.
type tokenV1 struct {
	Type       string `json:"token_type"`
	Scope      string `json:"scope,omitempty"`
	Expires    string `json:"expires_in"`
	ExpiresExt string `json:"ext_expires_in"`
	ExpiresOn  string `json:"expires_on"`
	NotBefore  string `json:"not_before"`
	Resource   string `json:"resource"`
	Access     string `json:"access_token"`
	Refresh    string `json:"refresh_token,omitempty"`
	ID         string `json:"id_token,omitempty"`
	ClientInfo string `json:"client_info,omitempty"`
	ClientID   string `json:"client_id,omitempty"`
}

func versionOne(t directory.Tokens) tokenV1 {
	life := strconv.Itoa(seconds(t))
	return tokenV1{
		Type: "Bearer", Expires: life, ExpiresExt: life, Resource: t.Resource, Access: t.Access, Refresh: t.Refresh, ID: t.ID,
		ExpiresOn: strconv.FormatInt(t.Expires.Unix(), 10), NotBefore: strconv.FormatInt(t.Issued.Unix(), 10),
	}
}

// seconds is a token's life; one less than it has, so that nobody uses it in its last.
func seconds(t directory.Tokens) int { return int(t.Expires.Sub(t.Issued).Seconds()) - 1 }

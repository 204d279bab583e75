package serve

import (
	"cmp"
	"context"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/controlplane"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// face is who answers a request.
type face int

const (
	byPath     face = iota // whoever the path belongs to
	registries             // /v2, /acr/v1, /oauth2, and whatever is nobody's
	identities             // sign-in, the directory, managed identities
	management             // the management API
)

// Names that belong to one face, below each suffix of the installation's own: no registry is reached under them.
var ownNames = map[string]face{"login": identities, "graph": identities, "management": management}

// What clients of the cloud have built in; with --dev they are answered too.
const cloudSuffix = "azurecr.io"

var cloudNames = map[string]face{
	"login.microsoftonline.com": identities, "login.microsoft.com": identities, "login.windows.net": identities,
	"sts.windows.net": identities, "graph.microsoft.com": identities, "graph.windows.net": identities,
	"management.azure.com": management, "management.core.windows.net": management,
}

// hosts tells what the names stand for under which the server is asked.
type hosts struct {
	standard string   // the default registry's key
	suffixes []string // of registries' hosts, each with its dot in front
	names    map[string]place
	custom   func(host string) (registry string) // whose custom domain a host is, "" for none; nil: there are none
}

// place is what one name stands for.
type place struct {
	to     face
	suffix string // of registries' hosts, for who came by this name
}

func newHosts(c *Config) *hosts {
	h := &hosts{standard: strings.ToLower(c.DefaultRegistry), names: map[string]place{}}
	cloud := c.Dev
	for _, suffix := range c.Suffixes {
		h.suffixes = append(h.suffixes, "."+suffix)
		h.names[suffix] = place{byPath, suffix}
		if suffix == cloudSuffix { // whose names are given: there, a registry may be called login
			cloud = false
			continue
		}
		for name, to := range ownNames {
			h.names[name+"."+suffix] = place{to, suffix}
		}
	}
	if cloud {
		h.suffixes = append(h.suffixes, "."+cloudSuffix)
	}
	if c.Dev {
		for name, to := range cloudNames {
			h.names[name] = place{to, cloudSuffix}
		}
	}
	return h
}

// of tells who answers for a host and, where that is not one face alone, of which registry and where: NAME.SUFFIX is NAME's,
// a custom domain is its registry's, everything else, localhost and bare addresses among them, the default one's. A name below localhost that has none of
// the suffixes leads nowhere: whoever made it meant a registry, and not the default one.
func (h *hosts) of(host string) (registry string, at endpoint, to face) {
	host = bareHost(host)
	if known, ok := h.names[host]; ok {
		return h.standard, endpoint{}, known.to
	}
	if name, at, ok := h.registry(host); ok {
		return name, at, byPath
	}
	if name := h.customOf(host); name != "" {
		return name, endpoint{}, byPath
	}
	if strings.HasSuffix(host, ".localhost") {
		return host, endpoint{}, byPath
	}
	return h.standard, endpoint{}, byPath
}

// endpoint is a registry's presence in one region, by a host of its own; the zero value is the registry as such.
type endpoint struct{ region, kind string }

// Kinds of endpoints: for everything, and for blobs.
const (
	geo  = "geo"
	data = "data"
)

// of tells whether a registry has the endpoint.
func (e endpoint) of(reg acr.Registry) error {
	on := e.kind == "" || e.kind == geo && reg.RegionalEndpoints || e.kind == data && reg.DataEndpoint
	if on && (e.region == "" || e.region == cmp.Or(reg.Location, acr.DefaultLocation)) {
		return nil
	}
	return fault.New(fault.NotFound, "registry %s has no %s endpoint in region %s here", reg.Name, e.kind, e.region)
}

// own tells whether a host is one by which nobody else can lead a browser here, as they can by a name of theirs: an
// address, a name of loopback's, of a registry or of a face, or one without a domain.
func (h *hosts) own(host string) bool {
	host = strings.Trim(bareHost(host), "[]")
	if _, ok := h.names[host]; ok || strings.IndexByte(host, '.') < 0 || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, _, registry := h.registry(host)
	_, err := netip.ParseAddr(host)
	return registry || err == nil || h.customOf(host) != ""
}

// customOf is the registry whose custom domain a host is. Names without a domain and addresses are nobody's.
func (h *hosts) customOf(host string) string {
	if h.custom == nil || strings.IndexByte(host, '.') < 0 {
		return ""
	}
	return h.custom(host)
}

// below lists what the names end in that are the installation's, or the cloud's: each with a dot in front.
func (h *hosts) below() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, suffix := range h.suffixes {
			if !yield(suffix) {
				return
			}
		}
		for name := range h.names {
			if !yield("." + name) {
				return
			}
		}
		yield(".localhost")
	}
}

// registry is the name in a registry's host: NAME.SUFFIX, NAME.REGION.geo.SUFFIX or NAME.REGION.data.SUFFIX.
func (h *hosts) registry(host string) (name string, at endpoint, ok bool) {
	for _, suffix := range h.suffixes {
		name, ok := strings.CutSuffix(host, suffix)
		if !ok || name == "" {
			continue
		}
		if strings.IndexByte(name, '.') < 0 {
			return name, endpoint{}, true
		}
		if part := strings.Split(name, "."); len(part) == 3 && part[0] != "" && part[1] != "" && (part[2] == geo || part[2] == data) {
			return part[0], endpoint{part[1], part[2]}, true
		}
	}
	return "", endpoint{}, false
}

// bareHost is a host without port and final dot, in lower case.
func bareHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// served tells whether certificates are issued for a host: for loopback's names, those of faces, custom domains, and those of
// registries that exist.
func (s *Server) served(host string) bool {
	host = bareHost(host)
	if _, ok := s.hosts.names[host]; ok || host == "localhost" {
		return true
	}
	name, at, ok := s.hosts.registry(host)
	if !ok {
		return s.hosts.customOf(host) != ""
	}
	reg, err := s.registries.Get(context.Background(), name)
	return err == nil && at.of(reg.Registry) == nil
}

// loginServer is the host of a registry under the first suffix.
func (s *Server) loginServer(registry string) string { return registry + "." + s.config.Suffixes[0] }

// loginServerFor is the host of a registry for somebody who came by a host, with the port that was asked for.
func (s *Server) loginServerFor(host, registry string) string {
	server := s.loginServer(registry)
	if at, ok := s.hosts.names[bareHost(host)]; ok {
		server = registry + "." + at.suffix
	}
	if _, port, err := net.SplitHostPort(host); err == nil && port != "" && port != "443" {
		server = net.JoinHostPort(server, port)
	}
	return server
}

// cloud tells clients where the parts of the installation are, in the names and with the port by which they came: those of
// the cloud, those below a suffix, or one host for all.
func (s *Server) cloud(r *http.Request) controlplane.Cloud {
	scheme, port := web.Scheme(r)+"://", ""
	if _, p, err := net.SplitHostPort(r.Host); err == nil {
		port = ":" + p
	}
	at, named := s.hosts.names[bareHost(r.Host)]
	if !named || at.to == byPath {
		one := scheme + strings.ToLower(r.Host)
		return controlplane.Cloud{Login: one, Management: one, Graph: one, Suffix: s.config.Suffixes[0]}
	}
	login, management, graph := "login."+at.suffix, "management."+at.suffix, "graph."+at.suffix
	if at.suffix == cloudSuffix {
		login, management, graph = "login.microsoftonline.com", "management.azure.com", "graph.microsoft.com"
	}
	return controlplane.Cloud{
		Login: scheme + login + port, Management: scheme + management + port, Graph: scheme + graph + port, Suffix: at.suffix,
	}
}

package serve

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/auth"
)

// registryOf is the registry that a host leads to: NAME.SUFFIX to NAME, everything else, localhost and bare addresses
// among them, to the default. A name below localhost that has none of the suffixes leads nowhere: whoever made it
// meant a registry, and not the default one.
func (c *Config) registryOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, suffix := range c.Suffixes {
		if name, ok := strings.CutSuffix(host, "."+suffix); ok && !strings.Contains(name, ".") {
			return name
		}
	}
	if strings.HasSuffix(host, ".localhost") && !slices.Contains(c.Suffixes, host) {
		return host
	}
	return strings.ToLower(c.DefaultRegistry)
}

// registry is the one a request goes to. Errors: fault.NotFound.
func (s *Server) registry(r *http.Request) (*auth.Registry, error) {
	return s.registries.Get(r.Context(), s.config.registryOf(r.Host))
}

// served tells whether certificates are issued for a host: loopback names and those of registries that exist.
func (s *Server) served(host string) bool {
	host = strings.ToLower(host)
	for _, suffix := range s.config.Suffixes {
		if host == suffix {
			return true
		}
		if name, ok := strings.CutSuffix(host, "."+suffix); ok {
			_, err := s.registries.Get(context.Background(), name)
			return err == nil
		}
	}
	return host == "localhost"
}

// loginServer is the host of a registry under the first suffix.
func (s *Server) loginServer(registry string) string {
	if len(s.config.Suffixes) == 0 {
		return registry
	}
	return registry + "." + s.config.Suffixes[0]
}

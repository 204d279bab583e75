package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/mirror"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
	"github.com/acre-registry/acre/internal/resource"
)

// importer is the server as the one who copies what is imported.
type importer struct{ s *Server }

// MayPull implements resource.Importer.
func (i importer) MayPull(ctx context.Context, reg *auth.Registry, on acr.Scope) error {
	id, err := i.s.auth.On(ctx, reg)
	if err != nil {
		return err
	}
	return auth.Policy{}.Allow(auth.As(ctx, id), reg.Key, on, acr.Pull)
}

// importGrants are what an import may do in its target, whatever conditions of roles say of repositories.
var importGrants = []acr.Grant{{Type: "repository", Name: "*", Actions: []acr.Action{acr.Pull, acr.Push}}}

// Import implements resource.Importer.
func (i importer) Import(ctx context.Context, job resource.ImportJob) error {
	_, request := auth.Actor(ctx)
	writer := auth.Identity{Name: job.Actor, Registry: job.To.Key, Grants: importGrants}
	c := mirror.Copy{
		To: i.s.content.In(job.To), Import: job.Import, Before: job.Before, Progress: job.Progress,
		WriteAs: func(ctx context.Context) context.Context { return auth.ForRequest(ctx, writer, request) },
	}
	if job.From != nil {
		i.near(&c, job.To, job.From, auth.System("import"))
		return c.Run(ctx)
	}
	if reg, own, err := i.own(ctx, job.Source.Host); err != nil {
		return err
	} else if own {
		id, err := i.login(ctx, reg, job.Source)
		if err != nil {
			return err
		}
		if err := resource.Exportable(reg.Registry); err != nil {
			return err
		}
		i.near(&c, job.To, reg, id)
		return c.Run(ctx)
	}
	reach := ociclient.Reach{Private: i.s.config.Dev || i.s.config.Imports.Private, Loopback: i.s.config.Dev || i.s.config.Imports.Loopback}
	far, closing, err := i.far(ctx, reach, &c.Import)
	if err != nil {
		return mirror.FromSource(err)
	}
	defer closing()
	c.From = far
	return c.Run(ctx)
}

// near has a copy read a registry of the installation as somebody, and share its blobs.
func (i importer) near(c *mirror.Copy, to, from *auth.Registry, as auth.Identity) {
	source, target := i.s.content.In(from), i.s.content.In(to)
	c.From = source
	c.ReadAs = func(ctx context.Context) context.Context { return auth.As(ctx, as) }
	if from.Key == to.Key {
		return // its blobs are there
	}
	c.Link = func(ctx context.Context, repo, fromRepo string, d oci.Digest) error {
		_, err := target.LinkBlob(auth.As(ctx, auth.System("import")), repo, source, fromRepo, d)
		return err
	}
}

// own is the registry of the installation that has a host.
func (i importer) own(ctx context.Context, host string) (reg *auth.Registry, own bool, err error) {
	if _, port, err := net.SplitHostPort(host); err == nil && port != "443" {
		return nil, false, nil
	}
	name, at, own := i.s.hosts.registry(bareHost(host))
	if !own {
		return nil, false, nil
	}
	if reg, err = i.s.registries.Get(ctx, name); err == nil {
		err = at.of(reg.Registry)
	}
	return reg, true, err
}

// login is whose credentials a source came with, on a registry of the installation.
func (i importer) login(ctx context.Context, reg *auth.Registry, source acr.ImportSource) (auth.Identity, error) {
	const address = "import"
	switch {
	case source.Password == "":
		return i.s.auth.Anonymous(reg)
	case !source.Token():
		return i.s.auth.Password(ctx, reg, source.Username, source.Password, address)
	}
	id, err := i.s.auth.Exchange(ctx, reg, auth.Exchange{Grant: "access_token", AccessToken: source.Password})
	if errors.Is(err, fault.Unauthenticated) { // or it is the registry's own
		if own, ownErr := i.s.auth.Password(ctx, reg, acr.NullUser, source.Password, address); ownErr == nil {
			return own, nil
		}
	}
	return id, err
}

// Docker Hub is known by names under which it is no registry, and keeps what has one name below another.
const (
	hubRegistry = "registry-1.docker.io"
	hubLibrary  = "library/"
)

var hubNames = map[string]bool{"docker.io": true, "index.docker.io": true, hubRegistry: true}

// far is the registry elsewhere that an import names, with what lets go of its connections.
func (i importer) far(ctx context.Context, reach ociclient.Reach, in *acr.Import) (*ociclient.Client, func(), error) {
	host := in.Source.Host
	if hubNames[host] {
		host = hubRegistry
		if name, _, _ := strings.Cut(in.Source.Image, ":"); !strings.Contains(name, "/") && name != "*" {
			in.Source.Image = hubLibrary + in.Source.Image
		}
	}
	plain, err := reach.Plain(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	base := "https://" + host
	if plain {
		base = "http://" + host
	}
	transport := reach.Transport(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: i.roots()})
	opt := ociclient.Options{BaseURL: base, Transport: transport, UserAgent: "acre-import", Ranges: true}
	client, err := ociclient.New(opt)
	if err != nil || in.Source.Password == "" {
		return client, transport.CloseIdleConnections, err
	}
	cred, err := credential(ctx, client, in.Source)
	if err == nil {
		opt.Credential = ociclient.Static(base, cred)
		client, err = ociclient.New(opt)
	}
	return client, transport.CloseIdleConnections, err
}

// roots are the system's with acre's own authority, so that a registry of the same installation is known on any port.
func (i importer) roots() *x509.CertPool {
	if i.s.authority == nil {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(i.s.authority.PEM())
	return pool
}

// credential is how a registry elsewhere is logged in to. A token is exchanged, or is the registry's own, or is sent as it is
// to a registry that knows neither.
func credential(ctx context.Context, c *ociclient.Client, source acr.ImportSource) (ociclient.Credential, error) {
	if !source.Token() {
		return ociclient.Credential{Username: source.Username, Password: source.Password}, nil
	}
	refresh, err := c.Exchange(ctx, source.Password)
	switch {
	case err == nil:
		return ociclient.Credential{RefreshToken: refresh}, nil
	case errors.Is(err, fault.Unsupported):
		return ociclient.Credential{AccessToken: source.Password}, nil
	case errors.Is(err, fault.Unauthenticated):
		return ociclient.Credential{Username: acr.NullUser, Password: source.Password}, nil
	}
	return ociclient.Credential{}, err
}

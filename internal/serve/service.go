package serve

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/job"
	"github.com/acre-registry/acre/internal/notify"
	"github.com/acre-registry/acre/internal/resource"
)

// openServices introduces the services to one another.
func (s *Server) openServices(ctx context.Context, bucket blob.Bucket) (err error) {
	s.registries = auth.NewRegistries(s.db)
	s.queue = job.New(job.Options{DB: s.db, Log: s.log.Logger})
	if err := s.openDomains(); err != nil {
		return err
	}
	s.appended.do = s.queue.Wake
	later := &theDirectory{}
	s.resources, err = resource.New(ctx, resource.Options{
		DB: s.db, Registries: s.registries, Installation: s.installation(), Principals: later, Identities: later, Importer: importer{s},
		Wake: s.queue.Wake, Encrypt: s.config.Encryption, Immediate: s.config.Dev, Domains: s.domains,
		Tiers: s.config.tiers(), KeepDeleted: s.config.Deleted.Keep,
	})
	if err != nil {
		return err
	}
	here := s.resources.Installation()
	var interval time.Duration // the directory's own
	if s.config.Dev {
		interval = time.Second
	}
	s.directory, err = directory.New(ctx, directory.Options{
		DB: s.db, Tenant: here.Tenant, Subscription: here.Subscription, Domains: s.config.Suffixes, Resource: s.ownOrigin,
		Loopback: s.config.Dev, PrivateIssuers: s.config.Dev || s.config.Identity.PrivateIssuers, DeviceInterval: interval, Log: s.log.Logger,
	})
	if err != nil {
		return err
	}
	later.Service = s.directory
	s.auth, err = auth.New(ctx, auth.Options{
		DB: s.db, Registries: s.registries, Principals: asked{s.directory, s}, Tenant: here.Tenant, Scope: s.resourceID, Log: s.log.Logger,
		AccessLife: s.config.Tokens.AccessLifetime, RefreshLife: s.config.Tokens.RefreshLifetime,
	})
	if err != nil {
		return err
	}
	s.content = content.New(content.Options{
		DB: s.db, Blobs: blob.NewStore(bucket), Log: s.log.Logger, MaxBlob: int64(s.config.Limits.MaxUpload),
		Grace: &s.config.Collect.Grace, UploadExpiry: s.config.Limits.UploadExpiry, Encrypt: s.config.Encryption, Hurry: s.short,
	})
	s.notify = notify.New(notify.Options{
		DB: s.db, Webhooks: s.resources, Version: s.version, Log: s.log.Logger,
		Outbound: acr.Outbound{Loopback: s.config.Dev, Allowed: ranges(s.config.Webhooks.Allowed)},
	})
	s.audit = audit.New(audit.Options{
		DB: s.db, Log: s.log.Logger, Now: s.db.Now, Region: acr.DefaultLocation, Keep: s.config.Audit.Keep, File: s.config.Audit.File,
		Scope: func(registry string) string { return s.resources.ScopeOf(ctx, registry) },
	})
	s.metrics.Registry.MustRegister(slices.Concat(s.content.Collectors(), s.audit.Collectors(), s.notify.Collectors())...)
	return nil
}

// theDirectory is opened after who asks it, since whose it is stands with the resources.
type theDirectory struct{ *directory.Service }

// asked is the directory with what it does not know: under which addresses this server is asked.
type asked struct {
	*directory.Service
	s *Server
}

// OwnAudience tells which of the server's APIs an audience stands for: one by a name of its own, both by one of all.
func (a asked) OwnAudience(audience string) (forManagement, forGraph bool) {
	if !a.s.ownOrigin(audience) {
		return false, false
	}
	u, _ := url.Parse(audience) // it parsed a moment ago
	to := a.s.hosts.names[bareHost(u.Host)].to
	return to == byPath || to == management, to == byPath || to == identities
}

// resourceID is a registry's, below which its tokens are and on which, or above, roles are assigned.
func (s *Server) resourceID(r acr.Registry) arm.ID {
	id := s.resources.RegistryID(r.Name)
	if r.Group != "" {
		id.Group = r.Group
	}
	return id
}

// ownOrigin tells whether tokens may be for a resource because it is this server, under one of its names.
func (s *Server) ownOrigin(resource string) bool {
	u, err := url.Parse(resource)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && s.ownName(bareHost(u.Host))
}

// ownName tells whether a host is this server's, whoever answers for it.
func (s *Server) ownName(host string) bool {
	if _, ok := s.hosts.names[host]; ok || host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

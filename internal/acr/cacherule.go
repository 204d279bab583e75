package acr

import (
	"regexp"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// CacheRule is the resource registries/cacheRules: which repositories here are those of another registry, fetched when
// they are pulled.
type CacheRule struct {
	Name          string           `json:"name"`
	Source        string           `json:"source"`                  // docker.io/library/nginx, mcr.microsoft.com/dotnet/*
	Target        string           `json:"target"`                  // nginx, dotnet/*
	CredentialSet string           `json:"credentialSet,omitempty"` // the name
	Identity      AssignedIdentity `json:"identity,omitzero"`
	Google        *GoogleFederated `json:"google,omitempty"`
	CreatedAt     time.Time        `json:"createdAt"`
	System        SystemData       `json:"systemData,omitzero"`
}

func (CacheRule) ResourceType() string { return "registries/cacheRules" }

// MaxCacheRules bounds those of a registry.
const MaxCacheRules = 1000

// GoogleFederated is how a rule logs in to Google's Artifact Registry without a password.
type GoogleFederated struct {
	ProjectNumber string `json:"projectNumber"`
	Pool          string `json:"workloadIdentityPool"`
	Provider      string `json:"workloadIdentityProvider"`
}

var (
	googleProject = regexp.MustCompile(`^[1-9][0-9]{4,29}$`)
	googleName    = regexp.MustCompile(`^[a-z][a-z0-9-]{2,30}[a-z0-9]$`)
	upstreamHost  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?$`)
)

// Validate checks the name, the source and the target, which both end in /* or neither does.
func (r CacheRule) Validate() error {
	what := "cache rule " + r.Name
	if err := first(cacheRuleNames.check(r.Name), r.checkSource(), r.checkTarget(), r.Identity.Check(what)); err != nil {
		return err
	}
	if g := r.Google; g != nil {
		if !googleProject.MatchString(g.ProjectNumber) || !googleName.MatchString(g.Pool) || !googleName.MatchString(g.Provider) {
			return fault.New(fault.Invalid, "%s: additionalAuthenticationProperties need a projectNumber of 5 to 30 digits, and a workloadIdentityPool and a "+
				"workloadIdentityProvider of 4 to 32 lower-case letters, digits and dashes", what)
		}
		if !strings.HasSuffix(r.Upstream(), ".pkg.dev") {
			return fault.New(fault.Invalid, "%s: authenticationType GoogleArtifactRegistry is for sources at *.pkg.dev, not %s", what, r.Upstream())
		}
	}
	if r.CredentialSet != "" && (r.Google != nil || len(r.Identity.Users) > 0) {
		return fault.New(fault.Invalid, "%s: a credential set and an identity exclude each other: give one", what)
	}
	return nil
}

func (r CacheRule) checkSource() error {
	host, repo, ok := strings.Cut(r.Source, "/")
	ok = ok && upstreamHost.MatchString(host) && (strings.ContainsAny(host, ".:") || host == "localhost")
	if !ok || CheckNamePattern(repo) != nil {
		return fault.New(fault.Invalid, "cache rule %s: the sourceRepository %.300q is not valid: it looks like docker.io/library/ubuntu or mcr.microsoft.com/dotnet/*", r.Name, r.Source)
	}
	return nil
}

func (r CacheRule) checkTarget() error {
	if err := CheckNamePattern(r.Target); err != nil {
		return fault.New(fault.Invalid, "cache rule %s: the targetRepository %.300q is not valid: it looks like ubuntu or dotnet/*: %w", r.Name, r.Target, err)
	}
	if wild(r.Source) != wild(r.Target) {
		return fault.New(fault.Invalid, "cache rule %s: the source %.300s and the target %.300s must both end with a wildcard, or neither", r.Name, r.Source, r.Target)
	}
	return nil
}

func wild(pattern string) bool { return strings.HasSuffix(pattern, "*") }

// Upstream is the host of the source.
func (r CacheRule) Upstream() string {
	host, _, _ := strings.Cut(r.Source, "/")
	return host
}

// Overlaps tells whether both rules speak of the same repositories, so that they cannot both be: the same target, or two
// wildcards one of which covers the other. A rule for one repository may lie within a wildcard, and goes before it.
func (r CacheRule) Overlaps(other CacheRule) bool {
	if !wild(r.Target) || !wild(other.Target) {
		return r.Target == other.Target
	}
	return covers(r.Target, other.Target) || covers(other.Target, r.Target)
}

// CanonicalUpstream is a registry's host as credentials and sources are compared: Docker Hub has several names.
func CanonicalUpstream(host string) string {
	host = strings.ToLower(host)
	switch host {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com":
		return "docker.io"
	}
	return host
}

// CleanSource is a source as it is kept: the host in lower case.
func CleanSource(source string) string {
	host, repo, ok := strings.Cut(strings.TrimSpace(source), "/")
	if !ok {
		return host
	}
	return strings.ToLower(host) + "/" + repo
}

// maxHost bounds a host with its port, in bytes.
const maxHost = 259

// CheckUpstream holds a registry's host against the grammar; what is what it is of. Errors: Invalid.
func CheckUpstream(what, host string) error {
	if !upstreamHost.MatchString(host) || !strings.ContainsAny(host, ".:") && host != "localhost" || len(host) > maxHost {
		return fault.New(fault.Invalid, "%s: %.260q is not the host of a registry, such as docker.io", what, host)
	}
	return nil
}

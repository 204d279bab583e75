// Package directory knows who there is: users, groups, applications, service principals and managed identities of the
// tenant, and the issuers outside that are trusted. It runs the flows by which they get tokens, in the manner of Entra ID,
// and tells auth whom a token stands for.
//
// It promises:
//   - Secrets are shown once, when they are made; kept are verifiers. Who is not there costs as much time as who is.
//   - What may be used once, such as a code or a signed assertion, is used once on all nodes.
//   - What was switched off or taken away (a user, a credential, an issuer) has no effect two seconds later, on tokens that
//     were given out before, too.
//   - The key of an assertion comes from what is kept here, never from the assertion.
//   - Calls to issuers are bounded in number, time and size, and reach only issuers that are configured.
//
// Keys of issuers are kept by a small cache on go-jose (issuer.go) and not by go-oidc's key set: that one asks the issuer
// again at every token that does not verify, so that whoever sends tokens decides how often this server calls out; and it
// trusts keys for ever when the issuer is away.
package directory

import (
	"context"
	"crypto/cipher"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Options of the service.
type Options struct {
	DB           *meta.DB
	Tenant       string   // its ID, a GUID in lower case
	Domains      []string // names of the tenant beside its ID, such as acre.localhost; new users are of the first
	Subscription string   // who may assign roles there or on /, may change the directory

	// Issuer is the claim iss of access tokens; "" is https://sts.windows.net/{tenant}/.
	Issuer string
	// Resource tells whether tokens may be for a resource besides the public ones: the server's own addresses.
	Resource func(resource string) bool

	AccessLife     time.Duration // of access tokens; 0: an hour
	ManagedLife    time.Duration // of access tokens of managed identities; 0: a day
	RefreshLife    time.Duration // of refresh tokens; 0: 90 days
	DeviceInterval time.Duration // between questions after a device code; 0: 5 seconds

	Loopback       bool           // issuers may be on this machine, over HTTP too: for development
	PrivateIssuers bool           // issuers may be in private networks
	IssuerRoots    *x509.CertPool // authorities for issuers' certificates; nil: the system's

	Log *slog.Logger
}

// Service is the directory. Its methods may be called at once from many goroutines.
type Service struct {
	opt      Options
	keys     *keyring
	seal     cipher.AEAD // of refresh tokens and codes
	recent   *recent
	actors   *lru.Cache[string, actor]
	verified *lru.Cache[[32]byte, verified]
	polls    *lru.Cache[string, time.Time]
	guess    *guess
	issuers  *issuers
}

// How much is remembered of what was verified and looked up.
const (
	rememberedActors = 4096
	rememberedTokens = 4096
	rememberedPolls  = 4096
)

// New makes the service and, in a new store, its keys.
func New(ctx context.Context, opt Options) (*Service, error) {
	if !acr.GUID(opt.Tenant) {
		return nil, fault.New(fault.Invalid, "tenant %.60q is not a GUID in lower case", opt.Tenant)
	}
	if opt.Issuer == "" {
		opt.Issuer = "https://sts.windows.net/" + opt.Tenant + "/"
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	for life, or := range map[*time.Duration]time.Duration{&opt.AccessLife: time.Hour, &opt.ManagedLife: 24 * time.Hour,
		&opt.RefreshLife: 90 * 24 * time.Hour, &opt.DeviceInterval: 5 * time.Second} {
		if *life == 0 {
			*life = or
		}
	}
	s := &Service{opt: opt, recent: &recent{db: opt.DB}, guess: newGuess(opt.DB.Now), issuers: newIssuers(opt),
		keys: &keyring{db: opt.DB, tenant: opt.Tenant, life: max(opt.AccessLife, opt.ManagedLife)}}
	var errs [4]error
	s.actors, errs[0] = lru.New[string, actor](rememberedActors)
	s.verified, errs[1] = lru.New[[32]byte, verified](rememberedTokens)
	s.polls, errs[2] = lru.New[string, time.Time](rememberedPolls)
	s.seal, errs[3] = loadSeal(ctx, opt.DB)
	return s, errors.Join(errors.Join(errs[:]...), s.keys.load(ctx))
}

// Tenant is the ID of the tenant.
func (s *Service) Tenant() string { return s.opt.Tenant }

// Issuer is the claim iss of the tenant's access tokens.
func (s *Service) Issuer() string { return s.opt.Issuer }

// Domain is the tenant's first domain name; "" where it has none.
func (s *Service) Domain() string {
	if len(s.opt.Domains) == 0 {
		return ""
	}
	return s.opt.Domains[0]
}

// TenantID is the ID of the tenant that a path names: by ID, by domain, as common or organizations.
// Errors: a Refusal, invalid_request.
func (s *Service) TenantID(name string) (string, error) {
	lower := strings.ToLower(name)
	if lower == s.opt.Tenant || lower == "common" || lower == "organizations" || lower == "adfs" || slices.Contains(s.opt.Domains, lower) {
		return s.opt.Tenant, nil
	}
	return "", refuse(unknownTenant, "Tenant '%.100s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", name)
}

// Sweep removes what was remembered for a time that is over. To be called now and then.
func (s *Service) Sweep(ctx context.Context) error { return s.opt.DB.Update(ctx, (*meta.Tx).Lapse) }

// Names of rights. They are of Microsoft.Authorization, so that Owner and User Access Administrator have them and
// Contributor has not: who may set an owner's password has an owner's rights.
const rightsPrefix = "Microsoft.Authorization/"

// mayChange asks for the right to write or delete things of a kind, on the tenant or on its subscription.
func (s *Service) mayChange(ctx context.Context, kind, verb string) error {
	operation := rightsPrefix + kind + "/" + verb
	err := auth.Policy{}.Control(ctx, "/", operation)
	if err != nil && errors.Is(err, fault.Denied) && s.opt.Subscription != "" {
		return auth.Policy{}.Control(ctx, "/subscriptions/"+s.opt.Subscription, operation)
	}
	return err
}

// mayRead lets everybody of the tenant read.
func (s *Service) mayRead(ctx context.Context) error {
	if id, ok := auth.Who(ctx); !ok || id.Registry != "" {
		return fault.New(fault.Unauthenticated, "the directory is read with a token of the tenant")
	}
	return nil
}

// change runs fn as one transaction, after which all that is cached here is asked for again.
func (s *Service) change(ctx context.Context, fn func(tx *meta.Tx) error) error {
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		tx.OnCommit(s.recent.forget)
		// One change at a time on all nodes: that a name is free is asked before it is taken. The row is what they wait for.
		if _, err := tx.Remember(changeMemo, "", nil, time.UnixMicro(0)); err != nil {
			return err
		}
		return fn(tx)
	})
}

// changeMemo is the kind of the memo whose row a change holds.
const changeMemo = "directory"

// Page is which part of a list is asked for: what comes after an ID, at most Limit.
type Page struct {
	After string
	Limit int
}

// longestPage bounds a page.
const longestPage = 999

func (p Page) limit() int {
	if p.Limit <= 0 || p.Limit > longestPage {
		return longestPage
	}
	return p.Limit
}

// Query narrows a list; what is empty narrows nothing. Only one of them is looked at: the first that is set.
type Query struct {
	ID     string
	AppID  string // applications and service principals
	SPN    string // service principals: one of their names; applications: one of their URIs
	Name   string // the display name; of users the principal name
	Shown  string // users: the display name
	Prefix string // of the display name, without regard to case
	Page
}

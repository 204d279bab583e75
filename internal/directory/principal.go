package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// freshness is how old the answer to "did anything change" may be.
const freshness = time.Second

// recent tells whether resources have changed since something was read.
type recent struct {
	db    *meta.DB
	epoch atomic.Int64 // counts this process's own changes

	mu         sync.Mutex
	generation int64
	asked      time.Time
	of         int64 // the epoch before it was asked
}

// now is the generation of the store's resources, at most freshness old, and never older than this process's own changes.
func (r *recent) now(ctx context.Context) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, epoch := r.db.Now(), r.epoch.Load()
	if age := at.Sub(r.asked); epoch == r.of && age >= 0 && age < freshness { // below 0 the clock was set back
		return r.generation, nil
	}
	var n int64
	if err := r.db.Look(ctx, func(tx *meta.Tx) (err error) { n, err = tx.Generation(); return err }); err != nil {
		return 0, err
	}
	r.generation, r.asked, r.of = n, at, epoch
	return n, nil
}

// forget has the next now ask. It waits for nobody: a commit waits for it.
func (r *recent) forget() { r.epoch.Add(1) }

// actor is somebody of the directory who may act.
type actor struct {
	auth.Principal
	generation int64 // for which this holds
	display    string
	mail       string
	managedID  string
}

// Principal is who has an object ID, or is known by a TrustRef, with the groups and rules of now. Errors: fault.NotFound
// for who is gone or disabled, or trusted no more.
func (s *Service) Principal(ctx context.Context, objectID string) (auth.Principal, error) {
	a, err := s.actor(ctx, objectID)
	if errors.Is(err, fault.NotFound) {
		if p, err := s.foreigner(ctx, objectID); err == nil || !errors.Is(err, fault.NotFound) {
			return p, err
		}
	}
	return a.Principal, err
}

// actor reads an actor, unless nothing has changed since it was last read. Errors: fault.NotFound.
func (s *Service) actor(ctx context.Context, objectID string) (actor, error) {
	id := strings.ToLower(objectID)
	if !acr.GUID(id) {
		return actor{}, fault.New(fault.NotFound, "principal %.100q does not exist", objectID)
	}
	generation, err := s.recent.now(ctx)
	if err != nil {
		return actor{}, err
	}
	if a, ok := s.actors.Get(id); ok && a.generation == generation {
		return a, nil
	}
	var a actor
	if err := s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) { a, err = s.readActor(tx, id); return err }); err != nil {
		return actor{}, err
	}
	a.generation = generation // from before the reading: a change meanwhile is read again at worst
	s.actors.Add(strings.Clone(id), a)
	return a, nil
}

func (s *Service) readActor(tx *meta.Tx, id string) (actor, error) {
	a, err := s.readUser(tx, id)
	if errors.Is(err, fault.NotFound) {
		a, err = s.readAccount(tx, id)
	}
	if err != nil {
		return actor{}, err
	}
	a.ID, a.Tenant = id, s.opt.Tenant
	a.Groups, err = groupsOf(tx, id)
	return a, err
}

func (s *Service) readUser(tx *meta.Tx, id string) (actor, error) {
	u, _, err := meta.Get[acr.User](tx, acr.DirectoryID("users", id))
	if err == nil && !u.Enabled {
		err = fault.New(fault.NotFound, "user %s is disabled", u.Name)
	}
	if err != nil {
		return actor{}, err
	}
	return actor{Principal: auth.Principal{Type: acr.UserPrincipal, Name: u.Name, Since: u.SignInsSince}, display: u.DisplayName, mail: u.Mail}, nil
}

func (s *Service) readAccount(tx *meta.Tx, id string) (actor, error) {
	p, _, err := meta.Get[acr.ServiceAccount](tx, acr.DirectoryID("servicePrincipals", id))
	if err == nil && !p.Enabled {
		err = fault.New(fault.NotFound, "service principal %s is disabled", p.DisplayName)
	}
	if err != nil {
		return actor{}, err
	}
	a := actor{Principal: auth.Principal{Type: acr.ServicePrincipal, Name: p.AppID, AppID: p.AppID}, display: p.DisplayName, managedID: p.ManagedID}
	a.Credentials = map[string]bool{}
	for _, f := range p.Federated {
		a.Credentials[federatedKey(f)] = true
	}
	if p.ManagedID != "" {
		a.Credentials[managedKey] = true
		return a, nil
	}
	app, err := findApplication(tx, p.AppID)
	if err != nil {
		return actor{}, err
	}
	for _, id := range credentialIDs(app) {
		a.Credentials[id] = true
	}
	return a, nil
}

// Bounds of the groups that somebody is in.
const (
	maxGroups     = 2000
	groupsPerRead = 500
)

// groupsOf finds all groups that somebody is in, directly or through groups. A cycle is gone through once.
func groupsOf(tx *meta.Tx, id string) ([]string, error) {
	seen := map[string]bool{id: true}
	var out []string
	for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
		groups, err := meta.Find[acr.Group](tx, "member:"+queue[0], groupsPerRead)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			if seen[g.ID] || len(out) == maxGroups {
				continue
			}
			seen[g.ID] = true
			out = append(out, g.ID)
			queue = append(queue, g.ID)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Login checks a client ID and secret, or a user name and password. Errors: fault.Unauthenticated, fault.TooMany;
// fault.NotFound where the directory knows nobody of that name, after as much work as for who is known.
func (s *Service) Login(ctx context.Context, name, secret, address string) (auth.Principal, error) {
	if secret == "" || len(secret) > maxSecret || len(name) > maxName {
		return auth.Principal{}, refuse(wrongPassword, "Error validating credentials due to invalid username or password.")
	}
	if strings.Contains(name, "@") && !strings.Contains(name, "://") {
		a, err := s.signIn(ctx, name, secret, address)
		return a.Principal, err
	}
	app, account, err := s.clientNamed(ctx, name)
	if err != nil {
		return auth.Principal{}, err
	}
	credential, err := s.checkSecret(ctx, app, secret, address)
	if err != nil {
		return auth.Principal{}, err
	}
	a, err := s.actor(ctx, account.ID)
	if errors.Is(err, fault.NotFound) {
		err = refuse(disabledClient, "Application '%s'(%.100s) is disabled.", app.AppID, app.DisplayName)
	}
	a.Principal.Credential = credential
	return a.Principal, err
}

// Bounds of what is typed in.
const (
	maxSecret = 1024
	maxName   = 512
)

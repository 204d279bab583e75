package directory

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tenant  = "0000ac4e-0000-4000-8000-000000000001"
	azure   = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
	origin  = "https://login.acre.localhost:5443"
	armAll  = "https://management.core.windows.net//.default"
	address = "192.0.2.7"
)

// clock is one that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a store with two nodes on it, each of which is the directory.
type world struct {
	testing.TB
	*clock
	db    *meta.DB
	a, b  *Service
	owner context.Context
}

// each runs fn in a fresh world of each dialect.
func each(t *testing.T, fn func(w *world)) { eachWith(t, Options{}, fn) }

func eachWith(t *testing.T, opt Options, fn func(w *world)) {
	t.Helper()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{TB: t, clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
			url := store(t)
			w.db = metatest.Open(t, url, meta.Options{Now: w.now})
			other := w.db
			if w.db.Shared() { // a SQLite store belongs to one process
				other = metatest.Open(t, url, meta.Options{Now: w.now})
			}
			w.a, w.b = w.node(opt, w.db), w.node(opt, other)
			w.owner = auth.As(t.Context(), auth.System("test"))
			fn(w)
		})
	}
}

func (w *world) node(opt Options, db *meta.DB) *Service {
	w.Helper()
	opt.DB, opt.Tenant, opt.Domains = db, tenant, []string{"acre.localhost"}
	s, err := New(w.Context(), opt)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refused wants an error of a login flow, by its name and number.
func (w *world) refused(what string, err error, oauth string, number int) {
	w.Helper()
	r, ok := RefusalOf(err)
	if !ok || r.OAuth != oauth || r.Number != number {
		w.Errorf("%s: got %+v (%v), want %s AADSTS%d", what, r, err, oauth, number)
	}
}

const password = "correct horse"

// user makes a user with the password, whose check is made quick.
func (w *world) user(name string) acr.User {
	w.Helper()
	u, err := w.a.CreateUser(w.owner, NewUser{Name: name})
	w.ok(err)
	w.ok(w.a.change(w.Context(), func(tx *meta.Tx) error {
		kept, version, err := getUser(tx, u.ID)
		if err != nil {
			return err
		}
		kept.Password = acr.SecretVerifier(password)
		return meta.Put(tx, acr.DirectoryID("users", u.ID), kept, version)
	}))
	return u
}

// application makes an application with its service principal and a secret.
func (w *world) application(n NewApplication) (app acr.Application, account acr.ServiceAccount, secret string) {
	w.Helper()
	app, err := w.a.CreateApplication(w.owner, n)
	w.ok(err)
	account, err = w.a.CreateServicePrincipal(w.owner, NewAccount{AppID: app.AppID})
	w.ok(err)
	_, secret, err = w.a.AddSecret(w.owner, app.ID, NewSecret{DisplayName: "test"})
	w.ok(err)
	return app, account, secret
}

// ask is a request to the token endpoint.
func ask(r Request) Request {
	if r.Tenant == "" {
		r.Tenant = tenant
	}
	if r.Address == "" {
		r.Address = address
	}
	if r.Scope == "" {
		r.Scope = armAll
	}
	r.Origin = origin
	return r
}

// passwordRequest is az's for a user.
func passwordRequest(name, pw string) Request {
	return ask(Request{Grant: Password, ClientID: azure, Username: name, Password: pw})
}

func acrManagedID(name string) arm.ID {
	return arm.ID{Subscription: "sub", Group: "group", Provider: arm.Identity, Types: []string{"userAssignedIdentities"}, Names: []string{name}}
}

// openMemory opens a SQLite store, for what asks no more of one than the time.
func openMemory(w *world) *meta.DB {
	return metatest.Open(w, metatest.Stores(w)["sqlite"](w), meta.Options{Now: w.now})
}

func withLog(opt Options) Options {
	opt.Log = slog.New(slog.DiscardHandler)
	return opt
}

// fuzzWorld is a world on SQLite with one node.
func fuzzWorld(f *testing.F) *world {
	w := &world{TB: f, clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	w.db = openMemory(w)
	w.a = w.node(Options{}, w.db)
	w.owner = auth.As(f.Context(), auth.System("test"))
	return w
}

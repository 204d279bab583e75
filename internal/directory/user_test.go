package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		u := w.user("Ann@acre.localhost")
		if u.DisplayName != u.Name || !u.Enabled || !acr.GUID(u.ID) {
			t.Errorf("made %+v", u)
		}
		if _, err := w.b.CreateUser(w.owner, NewUser{Name: "ann@ACRE.localhost", Password: password}); !errors.Is(err, fault.Exists) {
			t.Errorf("a name twice: %v", err)
		}
		for name, n := range map[string]NewUser{"no name": {Password: password}, "short password": {Name: "b@acre.localhost", Password: "1234567"}} {
			if _, err := w.a.CreateUser(auth.As(w.Context(), auth.Identity{}), n); !errors.Is(err, fault.Denied) {
				t.Errorf("%s by nobody: %v", name, err)
			}
		}
		if _, err := w.a.CreateUser(w.owner, NewUser{Name: "no name"}); !errors.Is(err, fault.Invalid) {
			t.Errorf("a name that is none: %v", err)
		}
		for _, by := range []string{u.ID, u.Name, "ANN@acre.localhost"} {
			got, err := w.b.User(w.owner, by)
			w.ok(err)
			if got.ID != u.ID || got.Password != "" {
				t.Errorf("%s is %+v", by, got)
			}
		}
		name, mail := "Ann B", "ann@example.com"
		got, err := w.b.UpdateUser(w.owner, u.Name, UserChange{DisplayName: &name, Mail: &mail})
		w.ok(err)
		if got.DisplayName != name || got.Mail != mail || got.Name != u.Name || !got.SignInsSince.IsZero() || got.Password != "" {
			t.Errorf("changed to %+v", got)
		}
		for i := range 5 {
			w.user(fmt.Sprintf("user%d@acre.localhost", i))
		}
		var all []string
		q := Query{Page: Page{Limit: 2}}
		for more := true; more; {
			var page []acr.User
			page, more, err = w.a.Users(w.owner, q)
			w.ok(err)
			for _, u := range page {
				if u.Password != "" {
					t.Error("a list shows verifiers")
				}
				all = append(all, u.ID)
				q.After = u.ID
			}
		}
		if len(all) != 6 || !slices.IsSorted(all) {
			t.Errorf("pages hold %d, sorted %t", len(all), slices.IsSorted(all))
		}
		for want, q := range map[int]Query{5: {Prefix: "USER"}, 1: {Name: "user3@acre.localhost"}, 0: {ID: tenant}} {
			if page, _, err := w.a.Users(w.owner, q); err != nil || len(page) != want {
				t.Errorf("%+v finds %d, %v", q, len(page), err)
			}
		}
		w.ok(w.a.DeleteUser(w.owner, u.Name))
		if err := w.b.DeleteUser(w.owner, u.ID); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		w.user(u.Name)
	})
}

// Of many who take one name at once, on two nodes, one gets it.
func TestNamesAreTakenOnce(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		made := make(chan error, 8)
		for i := range cap(made) {
			go func() {
				_, err := []*Service{w.a, w.b}[i%2].CreateUser(w.owner, NewUser{Name: "ann@acre.localhost"})
				made <- err
			}()
		}
		n := 0
		for range cap(made) {
			switch err := <-made; {
			case err == nil:
				n++
			case !errors.Is(err, fault.Exists):
				t.Errorf("%v", err)
			}
		}
		if n != 1 {
			t.Errorf("%d have the name", n)
		}
	})
}

func TestGroups(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		u := w.user("ann@acre.localhost")
		_, account, _ := w.application(NewApplication{DisplayName: "ci"})
		group := func(name string, members ...string) acr.Group {
			t.Helper()
			g, err := w.a.CreateGroup(w.owner, name, "", members, nil)
			w.ok(err)
			return g
		}
		inner := group("inner", u.ID, account.ID)
		middle := group("middle", inner.ID)
		outer := group("outer", middle.ID)
		other := group("other")
		w.ok(w.a.AddMember(w.owner, inner.ID, outer.ID, false)) // a circle
		groups := func(id string, want ...acr.Group) {
			t.Helper()
			w.advance(2 * time.Second)
			for _, s := range []*Service{w.a, w.b} {
				p, err := s.Principal(w.Context(), id)
				w.ok(err)
				var wanted []string
				for _, g := range want {
					wanted = append(wanted, g.ID)
				}
				slices.Sort(wanted)
				if !slices.Equal(p.Groups, wanted) {
					t.Errorf("is in %v, want %v", p.Groups, wanted)
				}
			}
		}
		groups(u.ID, inner, middle, outer)
		groups(account.ID, inner, middle, outer)
		direct, err := w.a.MemberOf(w.owner, u.ID, false)
		w.ok(err)
		all, err1 := w.a.MemberOf(w.owner, u.ID, true)
		w.ok(err1)
		if len(direct) != 1 || len(all) != 3 {
			t.Errorf("directly in %d, in %d", len(direct), len(all))
		}
		w.ok(w.a.AddMember(w.owner, other.ID, u.ID, false))
		if p, err := w.a.Principal(w.Context(), u.ID); err != nil || len(p.Groups) != 4 {
			t.Errorf("the node that added a member does not know it: %+v, %v", p, err)
		}
		for name, err := range map[string]error{
			"twice":         w.a.AddMember(w.owner, other.ID, u.ID, false),
			"of itself":     w.a.AddMember(w.owner, other.ID, other.ID, false),
			"who is nobody": w.a.AddMember(w.owner, other.ID, tenant, false),
			"of no group":   w.a.AddMember(w.owner, tenant, u.ID, false),
			"not in it":     w.a.RemoveMember(w.owner, outer.ID, u.ID, false),
		} {
			if k := fault.KindOf(err); err == nil || k != fault.Exists && k != fault.Invalid && k != fault.NotFound {
				t.Errorf("a member %s: %v", name, err)
			}
		}
		members, err := w.a.Members(w.owner, inner.ID, false)
		w.ok(err)
		if len(members) != 3 {
			t.Errorf("%d members", len(members))
		}
		w.ok(w.a.RemoveMember(w.owner, middle.ID, inner.ID, false))
		groups(u.ID, inner, other)
		w.ok(w.b.DeleteGroup(w.owner, inner.ID))
		groups(u.ID, other)
		w.ok(w.b.DeleteUser(w.owner, u.ID))
		got, err := w.a.Group(w.owner, other.ID)
		w.ok(err)
		if len(got.Members) != 0 {
			t.Errorf("who is gone is still a member: %v", got.Members)
		}
	})
}

func TestApplications(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		app, account, _ := w.application(NewApplication{DisplayName: "ci", IdentifierURIs: []string{"api://ci"}})
		for name, n := range map[string]NewApplication{"a URI twice": {DisplayName: "x", IdentifierURIs: []string{"API://ci"}},
			"az's client ID": {DisplayName: "x", AppID: azure}, "another's client ID": {DisplayName: "x", AppID: app.AppID}} {
			if _, err := w.b.CreateApplication(w.owner, n); !errors.Is(err, fault.Exists) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := w.a.CreateServicePrincipal(w.owner, NewAccount{AppID: app.AppID}); !errors.Is(err, fault.Exists) {
			t.Errorf("two service principals: %v", err)
		}
		name := "deploy"
		_, err := w.a.UpdateApplication(w.owner, app.ID, ApplicationChange{DisplayName: &name, IdentifierURIs: &[]string{"api://deploy"}})
		w.ok(err)
		p, err := w.b.ServicePrincipal(w.owner, account.ID)
		w.ok(err)
		if p.DisplayName != name || !slices.Equal(p.Names, []string{app.AppID, "api://deploy"}) {
			t.Errorf("the service principal is called %+v", p)
		}
		for _, q := range []Query{{ID: account.ID}, {AppID: app.AppID}, {SPN: "api://deploy"}, {SPN: app.AppID}, {Name: "Deploy"}, {Prefix: "dep"}} {
			if page, _, err := w.a.ServicePrincipals(w.owner, q); err != nil || len(page) != 1 {
				t.Errorf("%+v finds %d service principals, %v", q, len(page), err)
			}
		}
		for _, q := range []Query{{ID: app.ID}, {AppID: app.AppID}, {SPN: "api://deploy"}, {Name: "Deploy"}, {Prefix: "dep"}} {
			page, _, err := w.a.Applications(w.owner, q)
			if err != nil || len(page) != 1 || page[0].Secrets[0].Verifier != "" {
				t.Errorf("%+v finds %+v, %v", q, page, err)
			}
		}
		objects, err := w.a.Objects(w.owner, []string{app.ID, account.ID, tenant, "x"})
		w.ok(err)
		if len(objects) != 2 || objects[0].ID() != app.ID || objects[1].ID() != account.ID {
			t.Errorf("objects are %+v", objects)
		}
		for what, crt := range map[string][]byte{"text": []byte("x"), "nothing": nil} {
			if _, err := w.a.AddCertificate(w.owner, app.ID, NewCertificate{Certificate: crt}); !errors.Is(err, fault.Invalid) {
				t.Errorf("%s as a certificate: %v", what, err)
			}
		}
		for _, issuer := range []string{"http://token.example", "https://user@token.example", "file:///x", "http://127.0.0.1"} {
			_, err := w.a.PutFederated(w.owner, app.ID, acr.FederatedCredential{Name: "x", Issuer: issuer, Subject: "s", Audiences: []string{"a"}})
			if !errors.Is(err, fault.Invalid) {
				t.Errorf("issuer %s: %v", issuer, err)
			}
		}
		w.ok(w.a.DeleteServicePrincipal(w.owner, account.ID))
		if _, err := w.a.Application(w.owner, app.ID); err != nil {
			t.Errorf("the application went with its service principal: %v", err)
		}
	})
}

// Nobody changes the directory without the right to; no registry's user reads it.
func TestRights(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		u := w.user("ann@acre.localhost")
		app, account, _ := w.application(NewApplication{DisplayName: "ci"})
		g, err := w.a.CreateGroup(w.owner, "team", "", nil, nil)
		w.ok(err)
		changes := map[string]func(ctx context.Context) error{
			"CreateUser": func(ctx context.Context) error {
				_, err := w.a.CreateUser(ctx, NewUser{Name: "b@acre.localhost"})
				return err
			},
			"UpdateUser":    func(ctx context.Context) error { _, err := w.a.UpdateUser(ctx, u.ID, UserChange{}); return err },
			"DeleteUser":    func(ctx context.Context) error { return w.a.DeleteUser(ctx, u.ID) },
			"RevokeSignIns": func(ctx context.Context) error { return w.a.RevokeSignIns(ctx, u.ID) },
			"CreateGroup":   func(ctx context.Context) error { _, err := w.a.CreateGroup(ctx, "x", "", nil, nil); return err },
			"UpdateGroup":   func(ctx context.Context) error { _, err := w.a.UpdateGroup(ctx, g.ID, GroupChange{}); return err },
			"AddMember":     func(ctx context.Context) error { return w.a.AddMember(ctx, g.ID, u.ID, false) },
			"RemoveMember":  func(ctx context.Context) error { return w.a.RemoveMember(ctx, g.ID, u.ID, false) },
			"DeleteGroup":   func(ctx context.Context) error { return w.a.DeleteGroup(ctx, g.ID) },
			"CreateApplication": func(ctx context.Context) error {
				_, err := w.a.CreateApplication(ctx, NewApplication{DisplayName: "x"})
				return err
			},
			"UpdateApplication": func(ctx context.Context) error {
				_, err := w.a.UpdateApplication(ctx, app.ID, ApplicationChange{})
				return err
			},
			"AddSecret":    func(ctx context.Context) error { _, _, err := w.a.AddSecret(ctx, app.ID, NewSecret{}); return err },
			"RemoveSecret": func(ctx context.Context) error { return w.a.RemoveSecret(ctx, app.ID, "x") },
			"AddCertificate": func(ctx context.Context) error {
				_, err := w.a.AddCertificate(ctx, app.ID, NewCertificate{Certificate: w.certify(rsaKey(), "x", false, nil, nil).Raw})
				return err
			},
			"RemoveCertificate": func(ctx context.Context) error { return w.a.RemoveCertificate(ctx, app.ID, "x") },
			"PutFederated": func(ctx context.Context) error {
				_, err := w.a.PutFederated(ctx, app.ID, acr.FederatedCredential{})
				return err
			},
			"RemoveFederated": func(ctx context.Context) error { return w.a.RemoveFederated(ctx, app.ID, "x") },
			"PutManagedFederated": func(ctx context.Context) error {
				_, err := w.a.PutManagedFederated(ctx, account.ID, acr.FederatedCredential{})
				return err
			},
			"RemoveManagedFederated": func(ctx context.Context) error { return w.a.RemoveManagedFederated(ctx, account.ID, "x") },
			"CreateServicePrincipal": func(ctx context.Context) error {
				_, err := w.a.CreateServicePrincipal(ctx, NewAccount{AppID: app.AppID})
				return err
			},
			"EnableServicePrincipal": func(ctx context.Context) error {
				_, err := w.a.EnableServicePrincipal(ctx, account.ID, false)
				return err
			},
			"DeleteServicePrincipal": func(ctx context.Context) error { return w.a.DeleteServicePrincipal(ctx, account.ID) },
			"DeleteApplication":      func(ctx context.Context) error { return w.a.DeleteApplication(ctx, app.ID) },
		}
		reads := map[string]func(ctx context.Context) error{
			"User":              func(ctx context.Context) error { _, err := w.a.User(ctx, u.ID); return err },
			"Users":             func(ctx context.Context) error { _, _, err := w.a.Users(ctx, Query{}); return err },
			"Group":             func(ctx context.Context) error { _, err := w.a.Group(ctx, g.ID); return err },
			"Groups":            func(ctx context.Context) error { _, _, err := w.a.Groups(ctx, Query{}); return err },
			"Members":           func(ctx context.Context) error { _, err := w.a.Members(ctx, g.ID, true); return err },
			"MemberOf":          func(ctx context.Context) error { _, err := w.a.MemberOf(ctx, u.ID, true); return err },
			"Objects":           func(ctx context.Context) error { _, err := w.a.Objects(ctx, []string{u.ID}); return err },
			"Application":       func(ctx context.Context) error { _, err := w.a.Application(ctx, app.ID); return err },
			"Applications":      func(ctx context.Context) error { _, _, err := w.a.Applications(ctx, Query{}); return err },
			"ServicePrincipal":  func(ctx context.Context) error { _, err := w.a.ServicePrincipal(ctx, account.ID); return err },
			"ServicePrincipals": func(ctx context.Context) error { _, _, err := w.a.ServicePrincipals(ctx, Query{}); return err },
		}
		somebody := auth.As(w.Context(), auth.Identity{Name: "ann@acre.localhost"})
		ofRegistry := auth.As(w.Context(), auth.Identity{Name: "acre", Registry: "acre", Grants: acr.Everything})
		for name, change := range changes {
			if err := change(w.Context()); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("%s by nobody: %v", name, err)
			}
			for _, ctx := range []context.Context{somebody, ofRegistry} {
				if err := change(ctx); !errors.Is(err, fault.Denied) {
					t.Errorf("%s without the right: %v", name, err)
				}
			}
		}
		for name, read := range reads {
			for _, ctx := range []context.Context{w.Context(), ofRegistry} {
				if err := read(ctx); !errors.Is(err, fault.Unauthenticated) {
					t.Errorf("%s by nobody: %v", name, err)
				}
			}
			if err := read(somebody); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		// What nobody but the server chooses.
		if err := system(somebody); !errors.Is(err, fault.Denied) {
			t.Errorf("somebody is taken for the server: %v", err)
		}
	})
}

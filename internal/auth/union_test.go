package auth

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// probes are what is asked of every identity.
var probes = func() []probe {
	var out []probe
	for _, name := range []string{"app", "team", "team/app", "team/app/x", "other"} {
		for _, tag := range []string{"", "dev", "release-1"} {
			for _, act := range repositoryActs {
				on := acr.Repository(name)
				on.Tag = tag
				out = append(out, probe{act, on})
			}
		}
	}
	return append(out, probe{acr.All, acr.Catalog}, probe{acr.All, acr.DeletedCatalog})
}()

type probe struct {
	act acr.Action
	on  acr.Scope
}

// draws of what gives rights.
var (
	someRole = rapid.SampledFrom([]string{acr.OwnerRole, acr.ReaderRole, acr.AcrPullRole, acr.AcrPushRole, acr.AcrDeleteRole,
		acr.RepositoryReaderRole, acr.RepositoryWriterRole, acr.RepositoryContributorRole, acr.CatalogListerRole})
	someScope = rapid.SampledFrom([]string{"/", "/subscriptions/sub", "/subscriptions/other", registryScope, registryScope + "2",
		registryScope + "/repositories/app", registryScope + "/repositories/team/app"})
	someCondition = rapid.SampledFrom([]string{"", "", "",
		"@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWith 'team/'",
		"@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEquals 'app'",
		"@Request[Microsoft.ContainerRegistry/registries/repositories:tag] StringStartsWith 'release-'",
		"!(@Request[Microsoft.ContainerRegistry/registries/repositories:tag] StringStartsWith 'release-')",
		"!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/write'})",
		"@Environment[UtcNow] DateTimeLessThan '2026-03-01T00:00:00Z'"})
	someMode   = rapid.SampledFrom([]acr.PermissionMode{acr.LegacyPermissions, acr.AbacPermissions, acr.BothPermissions})
	someScopes = rapid.SliceOfN(rapid.SampledFrom([]string{"repository:app:pull,push", "repository:app:*", "repository:team/app:pull,metadata_read",
		"repository:*:*", "repository:*:pull", "registry:catalog:*", "repository:team:delete", "registry:*:*", "repository:team/*:push"}), 0, 4)
	someActions = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"repositories/app/content/read", "repositories/app/content/write",
		"repositories/team/*/content/read", "repositories/*/metadata/read", "repositories/team/content/delete", "repositories/team/app/content/write"}), 0, 4, rapid.ID[string])
)

// No sequence of assignments, scope maps and tokens gives more than the union of what each of them gives alone, and what is
// taken away again is gone.
func TestNeverMoreThanTheUnion(t *testing.T) {
	t.Parallel()
	c := newClock()
	db := metatest.Open(t, metatest.Stores(t)["sqlite"](t), meta.Options{Now: c.now})
	w := &world{T: t, db: db, c: c, dir: newTenant()}
	w.node = w.another()
	put(t, db, registry("acre"), "p1", "p2")
	rapid.Check(t, func(rt *rapid.T) {
		mode := someMode.Draw(rt, "mode")
		w.set(func(r *acr.Registry) { r.Permissions = mode })
		group := uuid.NewString()
		all := w.dir.person("all-"+uuid.NewString(), group)
		var alone []Principal
		var gave []arm.ID
		for i := range rapid.IntRange(1, 5).Draw(rt, "assignments") {
			role, scope, condition := someRole.Draw(rt, "role"), someScope.Draw(rt, "scope"), someCondition.Draw(rt, "condition")
			to := rapid.SampledFrom([]string{all.ID, group}).Draw(rt, "to")
			gave = append(gave, w.assign(to, role, scope, condition))
			one := w.dir.person(fmt.Sprintf("one%d-%s", i, uuid.NewString()))
			w.assign(one.ID, role, scope, condition)
			alone = append(alone, one)
		}
		union := func(p probe, of []Principal) bool {
			for _, one := range of {
				if id, err := w.subjectOf(one); err == nil && w.may(id, p.on, p.act) {
					return true
				}
			}
			return false
		}
		w.node.opt.Registries.Forget()
		id, err := w.subjectOf(all)
		if err != nil {
			rt.Fatal(err)
		}
		scopes := someScopes.Draw(rt, "scopes")
		narrow, err := w.node.Bearer(w.Context(), w.reg(w.node), w.access(id, scopes...))
		if err != nil {
			rt.Fatal(err)
		}
		for _, p := range probes {
			got := w.may(id, p.on, p.act)
			if want := union(p, alone); got != want {
				rt.Fatalf("%s on %+v: all together say %t, one by one %t", p.act, p.on, got, want)
			}
			asked := false
			for _, g := range acr.ParseScopes(scopes) {
				asked = asked || g.Allows(p.act, p.on)
			}
			if w.may(narrow, p.on, p.act) && (!got || !asked) {
				rt.Fatalf("%s on %+v: a token for %v allows it, where the subject's rights say %t", p.act, p.on, scopes, got)
			}
		}
		w.scopeMaps(rt)

		gone := rapid.IntRange(0, len(gave)-1).Draw(rt, "gone")
		w.erase(gave[gone])
		w.node.opt.Registries.Forget()
		left := append(append([]Principal{}, alone[:gone]...), alone[gone+1:]...)
		again, err := w.subjectOf(all)
		for _, p := range probes {
			if err == nil && w.may(again, p.on, p.act) && !union(p, left) {
				rt.Fatalf("%s on %+v is allowed after assignment %d was taken away", p.act, p.on, gone)
			}
		}
	})
}

// scopeMaps holds a token with a scope map of some actions against tokens with each alone.
func (w *world) scopeMaps(rt *rapid.T) {
	actions := someActions.Draw(rt, "actions")
	w.token("all-of-them", actions...)
	names := []string{}
	for i, a := range actions {
		names = append(names, fmt.Sprintf("alone%d", i))
		w.token(names[i], a)
	}
	all := w.login("all-of-them")
	var each []Identity
	for _, name := range names {
		each = append(each, w.login(name))
	}
	for _, p := range probes {
		want := false
		for _, one := range each {
			want = want || w.may(one, p.on, p.act)
		}
		if got := w.may(all, p.on, p.act); got != want {
			rt.Fatalf("%s on %+v: a scope map of %v says %t, its actions one by one %t", p.act, p.on, actions, got, want)
		}
	}
}

// subjectOf is a principal on the registry, be it without any right.
func (w *world) subjectOf(p Principal) (Identity, error) {
	reg := w.reg(w.node)
	id := principalIdentity(reg, p)
	r, err := w.node.rights(w.Context(), reg, &id)
	if err != nil {
		return Identity{}, err
	}
	return id.with(reg, r)
}

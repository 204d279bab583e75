package controlplane_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/resource"
)

const (
	scopeDeleted = scopeS + "/providers/Microsoft.ContainerRegistry/deletedRegistries"
	scopeEast    = scopeS + "/providers/Microsoft.ContainerRegistry/locations/eastus/deletedRegistries"
)

const keptDeleted = 7 * 24 * time.Hour

// eachKeeping is each, for a server that keeps deleted registries.
func eachKeeping(t *testing.T, fn func(s *server)) {
	t.Helper()
	each(t, fn, func(opt *resource.Options) { opt.KeepDeleted = keptDeleted })
}

// deletedAs lists deleted registries as somebody sees them: the registries' names, and IDs.
func (s *server) deletedAs(bearer, path string) (names, ids []string) {
	s.Helper()
	for _, d := range at(s.wantAs(bearer, 200, "GET", path, nil), "value").([]any) {
		names = append(names, at(d, "properties", "registryName").(string))
		ids = append(ids, at(d, "id").(string))
	}
	return names, ids
}

// state is what a registry and what lies in it shows, without when it was changed.
func (s *server) state(reg string) string {
	s.Helper()
	var b strings.Builder
	for _, path := range []string{
		"", "/tokens", "/scopeMaps", "/webhooks", "/credentialSets", "/cacheRules",
		"/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=atScope()",
	} {
		doc := s.want(200, "GET", reg+path, nil)
		delete(doc, "systemData")
		fmt.Fprintln(&b, doc)
	}
	fmt.Fprintln(&b, s.want(200, "POST", reg+"/listCredentials", nil), s.want(200, "POST", reg+"/webhooks/hook1/getCallbackConfig", nil))
	return b.String()
}

// full makes a registry with something of everything that is kept beside its document.
func (s *server) full(name, reader string) (reg, password string) {
	s.Helper()
	reg = s.registry(name)
	s.want(200, "PATCH", reg, object{"tags": object{"team": "a"}, "identity": object{"type": "SystemAssigned"}, "properties": object{"adminUserEnabled": true}})
	token := s.token(reg, "builder", "repositories/app/content/read")
	made := s.want(200, "POST", reg+"/generateCredentials", object{"tokenId": token})
	s.want(201, "PUT", reg+"/webhooks/hook1", webhookBody(nil))
	s.want(201, "PUT", reg+"/credentialSets/hubcreds", object{"identity": object{"type": "SystemAssigned"}, "properties": object{"loginServer": "docker.io",
		"authCredentials": []object{{"name": "Credential1", "usernameSecretIdentifier": "https://v.vault.example.com/secrets/u", "passwordSecretIdentifier": "https://v.vault.example.com/secrets/p"}}}})
	s.ok(s.assign(reader, acr.ReaderRole, reg))
	s.ok(s.assign(reader, acr.ReaderRole, reg+"/tokens/builder"))
	return reg, at(made, "passwords", 0, "value").(string)
}

// A registry that was deleted is nowhere, and comes back with all that it had.
func TestRestoreRegistry(t *testing.T) {
	t.Parallel()
	eachKeeping(t, func(s *server) {
		reader, bearer := s.principal("reader")
		reg, password := s.full("MyReg", reader.ID)
		before := s.state(reg)
		principal := at(s.want(200, "GET", reg, nil), "identity", "principalId").(string)
		s.advance(10 * time.Minute)
		if a := s.do("DELETE", reg, nil); a.status != 200 && a.status != 202 {
			s.Fatalf("delete: %d %s", a.status, a.body)
		}
		s.refused(404, "ResourceNotFound", "MyReg", "GET", reg, nil)
		s.refusedAs(bearer, 403, "AuthorizationFailed", "", "GET", reg, nil)
		for _, path := range []string{scopeG + "/providers/Microsoft.ContainerRegistry/registries", scopeG + "/resources", scopeS + "/resources",
			scopeS + "/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=principalId eq '" + reader.ID + "'"} {
			path = strings.ReplaceAll(path, " ", "%20")
			if list := at(s.want(200, "GET", path, nil), "value").([]any); len(list) != 0 {
				s.Errorf("%s still shows %v", path, list)
			}
		}
		if _, err := s.directory.ServicePrincipal(s.system, principal); err == nil {
			s.Error("the registry's identity is still in the directory")
		}
		if answer := s.want(200, "POST", scopeS+"/providers/Microsoft.ContainerRegistry/checkNameAvailability", object{"name": "MyReg", "type": "Microsoft.ContainerRegistry/registries"}); at(answer, "nameAvailable") != true {
			s.Errorf("the name is not free: %v", answer)
		}

		_, ids := s.deletedAs(s.owner, scopeEast)
		shown := s.want(200, "GET", ids[0], nil)
		for member, want := range map[string]any{
			"registryId": reg, "registryName": "MyReg", "loginServer": "myreg.acre.localhost", "location": "eastus", "deletedBy": at(shown, "properties", "deletedBy"),
			"deletionDate": "2026-03-01T12:10:00.0000000Z", "scheduledPurgeDate": "2026-03-08T12:10:00.0000000Z", "size": 0.0,
		} {
			if got := at(shown, "properties", member); got != want {
				s.Errorf("%s is %v, want %v", member, got, want)
			}
		}

		other := s.registry("myREG")
		s.refused(409, "RegistryNameAlreadyInUse", "MyReg cannot be restored", "POST", ids[0]+"/restore", nil)
		s.want(200, "GET", other, nil)
		s.do("DELETE", other, nil)
		if names, _ := s.deletedAs(s.owner, scopeDeleted); len(names) != 2 {
			s.Errorf("deleted are %v, want two of one name", names)
		}
		if got := s.want(200, "POST", ids[0]+"/restore", nil); at(got, "id") != reg || at(got, "properties", "provisioningState") != "Succeeded" {
			s.Errorf("restored %v", got)
		}
		if after := s.state(reg); after != before {
			s.Errorf("before\n%s\nafter\n%s", before, after)
		}
		s.wantAs(bearer, 200, "GET", reg, nil)
		if _, err := s.directory.ServicePrincipal(s.system, principal); err != nil {
			s.Errorf("the registry's identity: %v", err)
		}
		known, err := s.resources.Known(s.system, s.resources.RegistryID("MyReg"))
		s.ok(err)
		if _, err := s.auth.Password(s.system, known, "builder", password, "192.0.2.7"); err != nil {
			s.Errorf("the token's password: %v", err)
		}
		s.refused(404, "ResourceNotFound", "was restored or purged", "POST", ids[0]+"/restore", nil)
		s.audited(reg, "Microsoft.ContainerRegistry/registries/delete", "Microsoft.ContainerRegistry/registries/deleted/restore/action")
	})
}

// audited wants rows of operations on a resource.
func (s *server) audited(resource string, operations ...string) {
	s.Helper()
	var got []string
	s.ok(s.db.View(s.Context(), func(tx *meta.Tx) error {
		heads, err := tx.AuditHeads()
		for _, h := range heads {
			segments, err := tx.AuditAfter(h.Registry, 0, 1000)
			if err != nil {
				return err
			}
			for _, segment := range segments {
				entries, err := acr.AuditEntries(segment.Body)
				if err != nil {
					return err
				}
				for _, e := range entries {
					var r acr.AuditRow
					if err := json.Unmarshal(e.Row, &r); err != nil {
						return err
					}
					if strings.EqualFold(r.Resource, resource) {
						got = append(got, string(r.OperationName))
					}
				}
			}
		}
		return err
	}))
	for _, want := range operations {
		if !slices.Contains(got, want) {
			s.Errorf("of %s is audited %q, not %s", resource, got, want)
		}
	}
}

// After its time nothing is left of a deleted registry but the promise to empty it.
func TestPurgeRegistry(t *testing.T) {
	t.Parallel()
	eachKeeping(t, func(s *server) {
		reader, _ := s.principal("reader")
		secrets := func() (n int) {
			s.ok(s.db.View(s.Context(), func(tx *meta.Tx) error {
				for _, prefix := range []string{"admin/", "webhook/", "sealed/"} {
					list, err := tx.Secrets(prefix)
					if err != nil {
						return err
					}
					n += len(list)
				}
				return nil
			}))
			return n
		}
		none := secrets()
		reg, _ := s.full("MyReg", reader.ID)
		had := secrets()
		s.do("DELETE", reg, nil)
		s.registry("Second1")
		s.do("DELETE", scopeR+"Second1", nil)
		_, ids := s.deletedAs(s.owner, scopeDeleted)
		for _, id := range ids {
			if names := at(s.want(200, "GET", id, nil), "properties", "registryName"); names == "Second1" {
				s.want(200, "DELETE", id, nil)
				s.want(204, "DELETE", id, nil)
			}
		}
		s.advance(keptDeleted - time.Second)
		owner, bearer := s.principal("another owner") // the token of the first has expired
		s.owner = bearer
		s.ok(s.assign(owner.ID, acr.OwnerRole, scopeS))
		s.ok(s.resources.PurgeRegistries(s.system))
		if names, _ := s.deletedAs(s.owner, scopeDeleted); !slices.Equal(names, []string{"MyReg"}) || secrets() != had {
			s.Errorf("before their time: %v, %d secrets of %d", names, secrets(), had)
		}
		s.advance(time.Second)
		s.ok(s.resources.PurgeRegistries(s.system))
		if names, _ := s.deletedAs(s.owner, scopeDeleted); len(names) != 0 || secrets() != none {
			s.Errorf("left are %v, and %d secrets of %d", names, secrets()-none, had)
		}
		s.audited(reg, "Microsoft.ContainerRegistry/registries/deleted/purge/action")
		var promised []meta.Job
		s.ok(s.db.Update(s.Context(), func(tx *meta.Tx) (err error) {
			promised, err = tx.ClaimJobs(meta.Wanted{Kinds: []string{acr.EmptyRegistry{}.Kind()}}, s.now().Add(time.Minute), 10)
			return err
		}))
		if len(promised) != 2 || string(promised[0].Args) == string(promised[1].Args) {
			s.Errorf("to be emptied are %+v, want both", promised)
		}
		s.registry("MyReg")
		if tokens := at(s.want(200, "GET", reg+"/tokens", nil), "value").([]any); len(tokens) != 0 {
			s.Errorf("another of the name has %v", tokens)
		}
	})
}

// Who may do what with deleted registries: roles on the group count, roles on what has the ID by now do not.
func TestDeletedRegistryRights(t *testing.T) {
	t.Parallel()
	eachKeeping(t, func(s *server) {
		s.want(201, "PUT", scopeS+"/resourcegroups/apart", object{"location": "eastus"})
		reg := scopeS + "/resourceGroups/apart/providers/Microsoft.ContainerRegistry/registries/"
		for _, name := range []string{"inapart1", "inapart2"} {
			s.want(201, "PUT", reg+name, premium(object{}))
		}
		s.registry("elsewhere1")
		group, groupBearer := s.principal("group")
		reader, readerBearer := s.principal("reader")
		heir, heirBearer := s.principal("heir")
		_, nobody := s.principal("nobody")
		s.ok(s.assign(group.ID, acr.ContributorRole, scopeS+"/resourceGroups/apart"))
		s.ok(s.assign(reader.ID, acr.ReaderRole, scopeS))
		for _, at := range []string{reg + "inapart1", reg + "inapart2", scopeR + "elsewhere1"} {
			s.do("DELETE", at, nil)
		}
		s.want(201, "PUT", reg+"inapart1", premium(object{}))
		s.ok(s.assign(heir.ID, acr.OwnerRole, reg+"inapart1"))

		s.refusedAs(nobody, 403, "AuthorizationFailed", "deleted/read", "GET", scopeDeleted, nil)
		if names, _ := s.deletedAs(heirBearer, scopeDeleted); len(names) != 0 {
			s.Errorf("the new registry's owner sees %v", names)
		}
		if names, _ := s.deletedAs(readerBearer, scopeDeleted); len(names) != 3 {
			s.Errorf("a reader sees %v", names)
		}
		if names, _ := s.deletedAs(s.owner, strings.Replace(scopeEast, "eastus", "westus", 1)); len(names) != 0 {
			s.Errorf("in another location are %v", names)
		}
		names, ids := s.deletedAs(groupBearer, scopeDeleted)
		slices.Sort(names)
		if !slices.Equal(names, []string{"inapart1", "inapart2"}) {
			s.Fatalf("the group's contributor sees %v", names)
		}
		for _, id := range ids {
			s.refusedAs(heirBearer, 403, "AuthorizationFailed", "deleted/read", "GET", id, nil)
			s.refusedAs(readerBearer, 403, "AuthorizationFailed", "deleted/restore", "POST", id+"/restore", nil)
			s.refusedAs(readerBearer, 403, "AuthorizationFailed", "deleted/purge", "DELETE", id, nil)
			s.wantAs(readerBearer, 200, "GET", id, nil)
		}
		s.refusedAs(nobody, 403, "AuthorizationFailed", "deleted/read", "GET", scopeEast+"/nothing", nil)
		s.refused(404, "ResourceNotFound", "nothing", "GET", scopeEast+"/nothing", nil)

		s.do("DELETE", scopeS+"/resourcegroups/apart", nil)
		s.work()
		s.refused(404, "ResourceGroupNotFound", "create it first", "POST", ids[0]+"/restore", nil)
	})
}

package audit_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func request(status int) audit.Request {
	return audit.Request{Registry: "Demo1", LoginServer: "demo1.acre.localhost", Address: netip.MustParseAddr("::ffff:192.0.2.7"),
		UserAgent: "docker/27", ID: "req-1", Began: began, Status: status}
}

// A login and an event of a repository give a row each, with every column.
func TestColumns(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		s.run(audit.Options{Now: clock, Region: "local"}, func(a *audit.Service) {
			a.Login(t.Context(), audit.LoginEvent{Request: request(200), Identity: "ci", Tenant: "t1", JwtID: "j1"})
			refused := request(401)
			refused.Reason = "UNAUTHORIZED"
			a.Login(t.Context(), audit.LoginEvent{Request: refused, Identity: "mallory"})
			ctx := auth.ForRequest(t.Context(), auth.Identity{Name: "jo"}, "req-2")
			push := request(201)
			push.ID = ""
			a.Repository(ctx, audit.RepositoryEvent{Request: push, Operation: acr.PushOperation, Tenant: "t1", JwtID: "j2", Repository: "team/app", Tag: "v1",
				Digest: "sha256:00", MediaType: "application/vnd.oci.image.manifest.v1+json", ArtifactType: "application/x", Size: 7})
		})
		column := func(r acr.AuditRow) acr.AuditRow {
			r.TimeGenerated, r.LoginServer, r.Region, r.CallerIPAddress, r.UserAgent = clock(), "demo1.acre.localhost", "local", "192.0.2.7", "docker/27"
			r.DurationMs, r.ResultType = "25", "HttpStatusCode"
			return r
		}
		want := []acr.AuditRow{
			column(acr.AuditRow{Seq: 1, Category: acr.LoginEvents, OperationName: "Login", Identity: "ci", UserTenantID: "t1", JwtID: "j1", CorrelationID: "req-1",
				ResultDescription: "200"}),
			column(acr.AuditRow{Seq: 2, Category: acr.LoginEvents, OperationName: "Login", Identity: "mallory", CorrelationID: "req-1",
				ResultDescription: "401", Reason: "UNAUTHORIZED"}),
			column(acr.AuditRow{Seq: 3, Category: acr.RepositoryEvents, OperationName: "Push", Identity: "jo", UserTenantID: "t1", JwtID: "j2", CorrelationID: "req-2",
				Repository: "team/app", Tag: "v1", Digest: "sha256:00", MediaType: "application/vnd.oci.image.manifest.v1+json", ArtifactType: "application/x",
				Size: 7, ResultDescription: "201"}),
		}
		if diff := cmp.Diff(want, s.all("demo1")); diff != "" {
			t.Error(diff)
		}
		if faults := s.verify(); faults != nil {
			t.Error(faults)
		}
	})
}

// Changes of contents are in the chain once, whoever follows the log and how often; what the server deletes is a purge.
func TestChanges(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		s.append(acr.Event{Kind: acr.TagPushed, Repository: "app", Tag: "v1", Digest: "sha256:01", Previous: "sha256:00", Actor: "jo", RequestID: "req-1"})
		for i := range 300 {
			s.append(acr.Event{Kind: acr.ManifestPushed, Repository: "app", Size: int64(i), Actor: "jo"})
		}
		var nodes sync.WaitGroup
		for range 3 {
			nodes.Go(func() { s.run(audit.Options{}, func(*audit.Service) {}) })
		}
		nodes.Wait()
		s.append(acr.Event{Kind: acr.TagDeleted, Repository: "app", Tag: "v1", Actor: "system:retention"})
		s.append(acr.Event{Kind: acr.ManifestDeleted, Repository: "app", Digest: "sha256:01", Actor: "system:retention"})
		s.append(acr.Event{Kind: acr.RepositoryDeleted, Repository: "app", Actor: "jo"})
		s.run(audit.Options{}, func(*audit.Service) {})
		rows := s.all("demo1")
		if len(rows) != 304 {
			t.Fatalf("%d rows, want 304", len(rows))
		}
		for i, r := range rows {
			if r.Seq != int64(i+1) || r.Log != r.Seq {
				t.Fatalf("row %d tells of event %d", r.Seq, r.Log)
			}
		}
		first, purge, manifest, last := rows[0], rows[301], rows[302], rows[303]
		if first.Category != acr.Changes || first.OperationName != "tag.pushed" || first.Tag != "v1" || first.Previous != "sha256:00" ||
			first.Identity != "jo" || first.CorrelationID != "req-1" {
			t.Errorf("%+v", first)
		}
		if purge.Category != acr.RepositoryEvents || purge.OperationName != acr.PurgeTagOperation || manifest.OperationName != acr.PurgeManifestOperation ||
			purge.ResultDescription != "200" {
			t.Errorf("%+v\n%+v", purge, manifest)
		}
		if last.OperationName != "repository.deleted" || last.Category != acr.Changes {
			t.Errorf("%+v", last)
		}
		if faults := s.verify(); faults != nil {
			t.Error(faults)
		}
	})
}

// A change of a resource and its row are one transaction: both or neither.
func TestResources(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		jo := auth.ForRequest(t.Context(), auth.Identity{Name: "jo"}, "req-9")
		id, role := arm.Registry("s", "g", "demo1").Child("tokens", "build"), acr.RoleAssignmentID("0000ac4e-0000-4000-8000-00000000000a")
		token := acr.Token{Name: "build", ScopeMap: "_repositories_pull", Status: acr.TokenEnabled}
		assignment := acr.RoleAssignment{Name: role.Name(), Scope: "/", RoleID: acr.OwnerRole, PrincipalID: role.Name(), PrincipalType: acr.UserPrincipal}
		change := func(fn func(tx *meta.Tx) error) error { return s.Update(jo, fn) }
		broken := errors.New("broken")
		for _, err := range []error{
			change(func(tx *meta.Tx) error { return meta.Put(tx, id, token, 0) }),
			change(func(tx *meta.Tx) error { return meta.Put(tx, role, assignment, 0) }),
			change(func(tx *meta.Tx) error { token.Status = acr.TokenDisabled; return meta.Put(tx, id, token, 1) }),
			change(func(tx *meta.Tx) error { _, err := meta.Delete(tx, id); return err }),
			change(func(tx *meta.Tx) error { _, err := meta.Delete(tx, id); return err }), // it is gone already
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := change(func(tx *meta.Tx) error {
			return errors.Join(meta.Put(tx, id, token, 0), broken)
		}); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		var got []string
		for _, r := range slices.Concat(s.all("demo1"), s.all("")) {
			if r.Identity != "jo" || r.CorrelationID != "req-9" || r.TimeGenerated.IsZero() || (r.Change == "") != strings.HasSuffix(string(r.OperationName), "/delete") {
				t.Errorf("%+v", r)
			}
			got = append(got, fmt.Sprint(r.Seq, " ", r.OperationName, " ", r.Resource))
		}
		want := []string{
			"1 Microsoft.ContainerRegistry/registries/tokens/write " + id.String(), "2 Microsoft.ContainerRegistry/registries/tokens/write " + id.String(),
			"3 Microsoft.ContainerRegistry/registries/tokens/delete " + id.String(), "1 Microsoft.Authorization/roleAssignments/write " + role.String(),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if faults := s.verify(); faults != nil {
			t.Error(faults)
		}
	})
}

// Many changes of one transaction are a row each.
func TestManyResources(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		if err := s.Update(t.Context(), func(tx *meta.Tx) error {
			for i := range 600 {
				token := acr.Token{Name: fmt.Sprintf("token%d", i), ScopeMap: "_repositories_pull", Status: acr.TokenEnabled}
				registry := []string{"demo1", "none1"}[i%2]
				if err := meta.Put(tx, arm.Registry("s", "g", registry).Child("tokens", token.Name), token, 0); err != nil {
					return err
				}
			}
			_, err := meta.DeleteUnder(tx, arm.Registry("s", "g", "demo1").String())
			return err
		}); err != nil {
			t.Fatal(err)
		}
		demo, none := s.all("demo1"), s.all("")
		if len(demo) != 301 || len(none) != 300 || demo[300].OperationName != "resources/delete" || demo[300].Count != 300 {
			t.Errorf("%d and %d rows, the last %+v", len(demo), len(none), demo[len(demo)-1])
		}
		if faults := s.verify(); faults != nil {
			t.Error(faults)
		}
	})
}

// Many hand in at once, on two nodes: each row is there once, and the chain holds.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		var nodes sync.WaitGroup
		for node := range 2 {
			nodes.Go(func() {
				s.run(audit.Options{}, func(a *audit.Service) {
					var hands sync.WaitGroup
					for hand := range 4 {
						hands.Go(func() {
							for i := range 100 {
								a.Repository(t.Context(), audit.RepositoryEvent{Request: request(200), Operation: acr.PullOperation, Repository: fmt.Sprint(node, "/", hand, "/", i)})
							}
						})
					}
					hands.Wait()
				})
			})
		}
		nodes.Wait()
		seen := map[string]bool{}
		for _, r := range s.all("demo1") {
			seen[r.Repository] = true
		}
		if len(seen) != 800 || len(s.all("demo1")) != 800 {
			t.Errorf("%d rows, %d different", len(s.all("demo1")), len(seen))
		}
		if faults := s.verify(); faults != nil {
			t.Error(faults)
		}
	})
}

// Rows that nobody takes hold up those who hand them in for a moment only, and are counted.
func TestFull(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		a := s.service(audit.Options{})
		pull := audit.RepositoryEvent{Request: request(200), Operation: acr.PullOperation, Repository: "app"}
		const room, more = 16 << 10, 1000
		start := time.Now()
		for range room + more {
			a.Repository(t.Context(), pull)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%d rows took %s", room+more, took)
		}
		ctx, stop := contextEnded(t)
		defer stop()
		if err := a.Run(ctx); err != nil {
			t.Fatal(err)
		}
		a.Repository(t.Context(), pull) // after the end: it finds room, and nobody takes it
		page, err := a.Query(reader(t.Context()), audit.Query{Operation: string(acr.AuditLost)})
		if err != nil || len(page.Rows) != 1 || page.Rows[0].Count != more {
			t.Errorf("%+v, %v", page.Rows, err)
		}
		if faults := s.verify(); faults != nil {
			t.Error(faults)
		}
	})
}

// Events that get no row are counted in one.
func TestSkip(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		s.run(audit.Options{}, func(a *audit.Service) {
			for range 7 {
				a.Skip()
			}
		})
		if rows := s.all(""); len(rows) != 1 || rows[0].OperationName != acr.AuditSkipped || rows[0].Count != 7 {
			t.Errorf("%+v", rows)
		}
	})
}

// Who has no right reads nothing, and learns nothing.
func TestRights(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		a := s.service(audit.Options{})
		for _, registry := range []string{"demo1", "none1", ""} {
			if _, err := a.Query(t.Context(), audit.Query{Registry: registry}); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("nobody, %q: %v", registry, err)
			}
			jo := auth.As(t.Context(), auth.Identity{Name: "jo", Registry: registry, Grants: acr.Everything})
			if _, err := a.Query(jo, audit.Query{Registry: registry}); !errors.Is(err, fault.Denied) {
				t.Errorf("an admin user, %q: %v", registry, err)
			}
		}
		if _, err := a.Verify(t.Context()); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("nobody verifies: %v", err)
		}
		if _, err := a.Query(reader(t.Context()), audit.Query{Registry: "none1"}); !errors.Is(err, fault.NotFound) {
			t.Errorf("no registry: %v", err)
		}
		for _, q := range []audit.Query{{Limit: -1}, {Limit: audit.MaxPage + 1}, {Before: -1}} {
			if _, err := a.Query(reader(t.Context()), q); !errors.Is(err, fault.Invalid) {
				t.Errorf("%+v: %v", q, err)
			}
		}
	})
}

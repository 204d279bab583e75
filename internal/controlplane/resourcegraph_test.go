package controlplane_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
)

const (
	graphPath    = "/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01"
	graphImage   = "application/vnd.oci.image.manifest.v1+json"
	emptyDigest  = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	imageOfBytes = `{"schemaVersion":2,"mediaType":"` + graphImage + `","config":{"mediaType":"application/x","digest":"` + emptyDigest + `","size":2},"layers":[{"mediaType":"application/y","digest":"` + emptyDigest + `","size":1000}],"annotations":{"n":"%s"}}`
)

// image puts a manifest with a tag into a registry.
func (s *server) image(registry, repo, tag string) string {
	s.Helper()
	body := fmt.Appendf(nil, imageOfBytes, registry+repo+tag)
	d := digest.FromBytes(body)
	s.ok(s.db.Update(s.Context(), func(tx *meta.Tx) error {
		number, err := tx.Registry(registry)
		if err != nil {
			return err
		}
		id, err := tx.MakeRepository(number, repo)
		if err != nil {
			return err
		}
		manifest, err := tx.PutManifest(meta.Manifest{Repository: id, Digest: d, MediaType: graphImage, Body: body}, nil)
		if err != nil {
			return err
		}
		if _, _, err := tx.PutTag(id, tag, manifest); err != nil {
			return err
		}
		return tx.Count(id, 1, 1)
	}))
	return string(d)
}

// graph asks as somebody, and wants these rows.
func (s *server) graph(bearer, query, want string) {
	s.Helper()
	got := s.wantAs(bearer, 200, "POST", graphPath, object{"query": query})
	var rows any
	s.ok(json.Unmarshal([]byte(want), &rows))
	if diff := cmp.Diff(rows, got["data"]); diff != "" {
		s.Errorf("%s (-want +got):\n%s", query, diff)
	}
}

func TestResourceGraph(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		for _, name := range []string{"Alpha1", "beta22"} {
			s.registry(name)
		}
		s.token(scopeR+"Alpha1", "builder", "repositories/app/content/read")
		s.want(201, "PUT", scopeR+"beta22/webhooks/hook1", webhookBody(nil))
		d := s.image("alpha1", "app", "v1")
		s.image("alpha1", "team/tool", "v1")
		s.image("beta22", "app", "v2")

		s.graph(s.owner, "Resources | where type =~ 'Microsoft.ContainerRegistry/registries' | project name, sku.name, resourceGroup, properties.loginServer | order by name asc",
			`[{"name":"Alpha1","sku_name":"Premium","resourceGroup":"acre","properties_loginServer":"alpha1.acre.localhost"},
			  {"name":"beta22","sku_name":"Premium","resourceGroup":"acre","properties_loginServer":"beta22.acre.localhost"}]`)
		s.graph(s.owner, "Resources | where type has 'tokens' or type =~ 'microsoft.containerregistry/registries/webhooks' | project name, type",
			`[{"name":"builder","type":"microsoft.containerregistry/registries/tokens"},{"name":"hook1","type":"microsoft.containerregistry/registries/webhooks"}]`)
		s.graph(s.owner, "ResourceContainers | summarize count() by type | order by type asc",
			`[{"type":"microsoft.resources/subscriptions","count_":1},{"type":"microsoft.resources/subscriptions/resourcegroups","count_":1}]`)
		s.graph(s.owner, "ContainerRegistryRepositories | project registry, name, manifestCount, tagCount",
			`[{"registry":"Alpha1","name":"app","manifestCount":1,"tagCount":1},{"registry":"Alpha1","name":"team/tool","manifestCount":1,"tagCount":1},
			  {"registry":"beta22","name":"app","manifestCount":1,"tagCount":1}]`)
		s.graph(s.owner, "ContainerRegistryImages | where repository == 'app' and tags[0] == 'v1' | project loginServer, digest, size > 1002",
			`[{"loginServer":"alpha1.acre.localhost","digest":"`+d+`","Column3":true}]`)
		s.graph(s.owner, "ContainerRegistryImages | summarize images = count() by registry | order by images desc",
			`[{"registry":"Alpha1","images":2},{"registry":"beta22","images":1}]`)
		s.graph(s.owner, "Resources | where todatetime(properties.creationDate) > ago(1h) | where type endswith '/registries' | count", `[{"Count":2}]`)

		// Who may read less sees less.
		reader, bearer := s.principal("reader")
		s.graph(bearer, "Resources | count", `[{"Count":0}]`)
		s.graph(bearer, "ContainerRegistryRepositories | count", `[{"Count":0}]`)
		s.ok(s.assign(reader.ID, acr.ReaderRole, scopeR+"beta22"))
		s.graph(bearer, "Resources | where type =~ 'microsoft.containerregistry/registries' | project name", `[{"name":"beta22"}]`)
		s.graph(bearer, "Resources | where type endswith '/tokens' | count", `[{"Count":0}]`)
		s.ok(s.assign(reader.ID, acr.AcrPullRole, scopeR+"Alpha1"))
		s.graph(bearer, "ContainerRegistryRepositories | where registry =~ 'ALPHA1' | project name", `[{"name":"app"},{"name":"team/tool"}]`)
		s.graph(bearer, "Resources | where name =~ 'alpha1' | count", `[{"Count":0}]`)
		s.want(200, "PATCH", scopeR+"Alpha1", properties(object{"networkRuleSet": object{"defaultAction": "Deny"}}))
		s.graph(bearer, "ContainerRegistryRepositories | where registry =~ 'alpha1' | count", `[{"Count":0}]`)
		s.refusedAs("", 401, "AuthenticationFailed", "", "POST", graphPath, object{"query": "Resources"})
	})
}

// Answers come in parts, in two forms; what is asked wrongly is refused.
func TestResourceGraphParts(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		for i := range 5 {
			s.registry(fmt.Sprint("registry", i))
		}
		ask := func(options object) map[string]any {
			s.Helper()
			return s.want(200, "POST", graphPath, object{"subscriptions": []string{subscription}, "options": options,
				"query": "Resources | where type =~ 'microsoft.containerregistry/registries' | project name | order by name asc"})
		}
		var names []any
		token := any(nil)
		for part := 0; part < 3; part++ {
			got := ask(object{"$top": 2, "$skipToken": token})
			for _, r := range got["data"].([]any) {
				names = append(names, at(r, "name"))
			}
			if token = got["$skipToken"]; got["totalRecords"] != 5.0 || (token == nil) != (part == 2) || (got["count"] == 1.0) != (part == 2) {
				s.Errorf("part %d: %v", part, got)
			}
		}
		if diff := cmp.Diff([]any{"registry0", "registry1", "registry2", "registry3", "registry4"}, names); diff != "" {
			s.Error(diff)
		}
		table := ask(object{"$skip": 4, "resultFormat": "table"})
		if at(table, "data", "columns", 0, "name") != "name" || at(table, "data", "columns", 0, "type") != "string" || at(table, "data", "rows", 0, 0) != "registry4" {
			s.Errorf("a table: %v", table)
		}
		other := s.want(200, "POST", graphPath, object{"subscriptions": []string{tenant}, "query": "Resources"})
		if other["totalRecords"] != 0.0 {
			s.Errorf("of another subscription: %v", other)
		}
		for words, body := range map[string]object{
			"line 1, column 13": {"query": "Resources | mv-expand tags"},
			"$top is 1 to 1000": {"query": "Resources", "options": object{"$top": 0}},
			"$skipToken":        {"query": "Resources", "options": object{"$skipToken": "!"}},
			"resultFormat":      {"query": "Resources", "options": object{"resultFormat": "csv"}},
			"a table is":        {},
		} {
			a := s.do("POST", graphPath, body)
			if a.status != 400 || !strings.Contains(a.body, words) {
				s.Errorf("%v: %d %s, want %q", body, a.status, a.body, words)
			}
		}
		s.refused(409, "NotSupported", "facets", "POST", graphPath, object{"query": "Resources", "facets": []any{object{}}})
	})
}

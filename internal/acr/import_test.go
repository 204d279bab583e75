package acr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
)

const (
	importDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	importFrom   = "/subscriptions/0000ac4e-0000-4000-8000-000000000002/resourceGroups/acre/providers/Microsoft.ContainerRegistry/registries/other"
)

func goodImport() acr.Import {
	return acr.Import{Source: acr.ImportSource{Host: "docker.io", Image: "library/alpine:3"}, Tags: []string{"alpine:3"}}
}

// What an import may say, and what it is refused with where it says something else.
func TestImportValidate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(in *acr.Import)
		want string // "": it is good
	}{
		"as it is":                {func(*acr.Import) {}, ""},
		"by ID":                   {func(in *acr.Import) { in.Source = acr.ImportSource{Registry: importFrom, Image: "a@" + importDigest} }, ""},
		"a token":                 {func(in *acr.Import) { in.Source.Password = "secret" }, ""},
		"without a tag":           {func(in *acr.Import) { in.Tags, in.Untagged = nil, []string{"a/b"} }, ""},
		"a target without a tag":  {func(in *acr.Import) { in.Tags = []string{"alpine"} }, ""},
		"tags by pattern":         {func(in *acr.Import) { in.Source.Image, in.Tags = "app:v1.*", []string{"app"} }, ""},
		"repositories by pattern": {func(in *acr.Import) { in.Source.Image, in.Tags = "team/*:v*", []string{"copy/*"} }, ""},
		"all of it":               {func(in *acr.Import) { in.Source.Image, in.Tags = "*", []string{"*"} }, ""},
		"platforms":               {func(in *acr.Import) { in.Platforms = []string{"linux/amd64", "linux/arm/v7"} }, ""},

		"no image":            {func(in *acr.Import) { in.Source.Image = "" }, "sourceImage"},
		"no source":           {func(in *acr.Import) { in.Source.Host = "" }, "resourceId or source.registryUri"},
		"two sources":         {func(in *acr.Import) { in.Source.Registry = importFrom }, "not both"},
		"a password for ours": {func(in *acr.Import) { in.Source = acr.ImportSource{Registry: importFrom, Image: "a:b", Password: "x"} }, "registryUri only"},
		"no password":         {func(in *acr.Import) { in.Source.Username = "robot" }, "no password"},
		"a path as the host":  {func(in *acr.Import) { in.Source.Host = "docker.io/library" }, "not a registry's host"},
		"another's ID":        {func(in *acr.Import) { in.Source.Host, in.Source.Registry = "", importFrom+"/tokens/a" }, "not the ID of a registry"},
		"no target":           {func(in *acr.Import) { in.Tags = nil }, "needs a target"},
		"too many targets":    {func(in *acr.Import) { in.Tags = strings.Fields(strings.Repeat("a:b ", 101)) }, "too many"},
		"a bad name":          {func(in *acr.Import) { in.Tags = []string{"App:1"} }, "repository name"},
		"a bad tag":           {func(in *acr.Import) { in.Tags = []string{"app:."} }, "tag"},
		"an empty tag":        {func(in *acr.Import) { in.Source.Image = "app:" }, "empty tag"},
		"a digest as target":  {func(in *acr.Import) { in.Tags = []string{"app@" + importDigest} }, "is a digest"},
		"a bad digest":        {func(in *acr.Import) { in.Source.Image = "app@sha256:abc" }, "digest"},
		"a * alone":           {func(in *acr.Import) { in.Tags = []string{"app:*"} }, "source's *"},
		"one tag for all":     {func(in *acr.Import) { in.Source.Image, in.Tags = "app:*", []string{"app:v1"} }, "one tag for all"},
		"one name for all":    {func(in *acr.Import) { in.Source.Image, in.Tags = "team/*", []string{"team"} }, "does not fit"},
		"a * within a name":   {func(in *acr.Import) { in.Source.Image = "te*m/a:b" }, "repository name"},
		"digests by pattern":  {func(in *acr.Import) { in.Source.Image = "team/*@" + importDigest }, "one repository"},
		"tagless by pattern":  {func(in *acr.Import) { in.Source.Image, in.Tags, in.Untagged = "app:*", nil, []string{"app"} }, "keeps its tags"},
		"half a platform":     {func(in *acr.Import) { in.Platforms = []string{"linux"} }, "os/architecture"},
	} {
		in := goodImport()
		tt.edit(&in)
		switch err := in.Validate(); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// Where each image goes.
func TestImportTargets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		source     string
		tags       []string
		untagged   []string
		repo, tag  string
		want       string
		otherwise  string // a repository that is not meant
		otherwiseT string // a tag that is not
	}{
		{"app:v1", []string{"b:2", "a:1", "b:2"}, []string{"c"}, "app", "v1", "[a:1 b:2 c]", "app2", "v2"},
		{"app:v1", []string{"other"}, nil, "app", "v1", "[other:v1]", "ap", "v"},
		{"app", []string{"other"}, nil, "app", "latest", "[other:latest]", "", "v1"},
		{"app@" + importDigest, []string{"other"}, []string{"x"}, "app", "", "[other:latest x]", "", ""},
		{"app:v1.*", []string{"copy:*"}, nil, "app", "v1.7", "[copy:v1.7]", "", "v2.1"},
		{"app:*-rc*", []string{"copy"}, nil, "app", "v1-rc2", "[copy:v1-rc2]", "", "v1"},
		{"team/*", []string{"far/*"}, nil, "team/a/b", "v1", "[far/a/b:v1]", "teams/a", ""},
		{"*", []string{"hub/*"}, nil, "a/b", "v1", "[hub/a/b:v1]", "", ""},
		{"team/*:v*", []string{"*"}, nil, "team/a", "v1", "[a:v1]", "team", "w"},
	} {
		in := acr.Import{Source: acr.ImportSource{Host: "docker.io", Image: tt.source}, Tags: tt.tags, Untagged: tt.untagged}
		if err := in.Validate(); err != nil {
			t.Errorf("%s: %v", tt.source, err)
			continue
		}
		from, err := in.From()
		if err != nil || !from.CoversRepository(tt.repo) || tt.tag != "" && !from.CoversTag(tt.tag) {
			t.Errorf("%s does not cover %s:%s: %v", tt.source, tt.repo, tt.tag, err)
		}
		if tt.otherwise != "" && from.CoversRepository(tt.otherwise) || tt.otherwiseT != "" && from.CoversTag(tt.otherwiseT) {
			t.Errorf("%s covers %s or %s", tt.source, tt.otherwise, tt.otherwiseT)
		}
		if got := fmt.Sprint(in.Targets(tt.repo, tt.tag)); got != tt.want {
			t.Errorf("%s to %v: %s, want %s", tt.source, tt.tags, got, tt.want)
		}
	}
}

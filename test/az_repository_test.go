package test

import (
	"slices"
	"strings"
	"testing"
)

// What az acr repository and az acr manifest show, change and delete.
func TestAzRepository(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		cl := c.admin(t)
		const repo = "team/attributes"
		for _, tag := range []string{"v1", "v2", "v3"} {
			if _, _, err := cl.pushImage(repo, tag, []byte(tag)); err != nil {
				t.Fatal(err)
			}
		}
		image := repo + ":v1"
		var shown struct {
			ImageName            string          `json:"imageName"`
			ManifestCount        int             `json:"manifestCount"`
			TagCount             int             `json:"tagCount"`
			ChangeableAttributes map[string]bool `json:"changeableAttributes"`
		}
		a.json(&shown, "acr", "repository", "show", "-n", cloudName, "--repository", repo)
		if shown.ImageName != repo || shown.ManifestCount != 3 || shown.TagCount != 3 || !shown.ChangeableAttributes["deleteEnabled"] {
			t.Errorf("repository show: %+v", shown)
		}
		if got := a.do("acr", "repository", "show-tags", "-n", cloudName, "--repository", repo, "--orderby", "time_desc", "--top", "2", "-o", "tsv"); got != "v3\nv2" {
			t.Errorf("show-tags by time: %q", got)
		}
		var tags []struct{ Name, Digest, LastUpdateTime string }
		a.json(&tags, "acr", "repository", "show-tags", "-n", cloudName, "--repository", repo, "--detail")
		if len(tags) != 3 || tags[0].Name != "v1" || tags[0].Digest == "" || len(tags[0].LastUpdateTime) != len("2021-04-15T21:30:16.3164527Z") {
			t.Errorf("show-tags --detail: %+v", tags)
		}
		a.do("acr", "repository", "update", "-n", cloudName, "--image", image, "--write-enabled", "false", "--delete-enabled", "false")
		if out := a.refused("acr", "repository", "untag", "-n", cloudName, "--image", image); !strings.Contains(out, "The operation is disallowed on this registry, repository or image") {
			t.Errorf("untag what is locked: %s", out)
		}
		if out := a.refused("acr", "repository", "delete", "-n", cloudName, "--image", image, "--yes"); !strings.Contains(out, "disallowed") {
			t.Errorf("delete what is locked: %s", out)
		}
		a.do("acr", "repository", "update", "-n", cloudName, "--image", image, "--write-enabled", "true", "--delete-enabled", "true")
		a.do("acr", "repository", "untag", "-n", cloudName, "--image", image)

		var manifests []struct {
			Digest string
			Tags   []string
		}
		a.json(&manifests, "acr", "manifest", "list-metadata", "-r", cloudName, "-n", repo, "--orderby", "time_asc")
		if len(manifests) != 3 || manifests[0].Tags != nil || !slices.Equal(manifests[2].Tags, []string{"v3"}) {
			t.Fatalf("manifest list-metadata: %+v", manifests)
		}
		digest := repo + "@" + manifests[0].Digest
		if got := a.do("acr", "manifest", "show-metadata", "-r", cloudName, "-n", digest, "--query", "digest", "-o", "tsv"); got != manifests[0].Digest {
			t.Errorf("manifest show-metadata: %q", got)
		}
		a.do("acr", "manifest", "update-metadata", "-r", cloudName, "-n", digest, "--delete-enabled", "false")
		if out := a.refused("acr", "manifest", "delete", "-r", cloudName, "-n", digest, "--yes"); !strings.Contains(out, "disallowed") {
			t.Errorf("manifest delete of what is locked: %s", out)
		}
		a.do("acr", "manifest", "update-metadata", "-r", cloudName, "-n", digest, "--delete-enabled", "true")
		a.do("acr", "manifest", "delete", "-r", cloudName, "-n", digest, "--yes")
		a.do("acr", "repository", "delete", "-n", cloudName, "--repository", repo, "--yes")
		if out := a.refused("acr", "repository", "show", "-n", cloudName, "--repository", repo); !strings.Contains(out, "repository name not known to registry") {
			t.Errorf("show what is gone: %s", out)
		}
	})
}

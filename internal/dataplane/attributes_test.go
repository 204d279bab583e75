package dataplane_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/oci"
)

// tells compares an answer with JSON in which HOST is the server's.
func (s *server) tells(t testing.TB, what string, a answer, want string) {
	t.Helper()
	a.want(t, what, 200, "")
	var got, wanted any
	want = strings.ReplaceAll(want, "HOST", strings.TrimPrefix(s.URL, "http://"))
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%s: %v in %s", what, err, a.body)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("%s: -want +got\n%s", what, diff)
	}
}

const open = `{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}`

// What is told of a repository, its tags and its manifests: an image, an index and an artifact.
func TestAttributes(t *testing.T) {
	t.Parallel()
	eachAt(t, func(t *testing.T, s *server, c *clock) {
		const config = `{"architecture":"arm64","os":"linux","rootfs":{"type":"layers"}}`
		_, image := s.pushImage(t, "team/app", "v1", config, "layer")
		c.advance(1500 * time.Millisecond)
		index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":7,"platform":{"architecture":"arm64","os":"linux"}}]}`,
			oci.TypeIndex, oci.TypeImage, image)
		s.put(t, "team/app", "all", oci.TypeIndex, index).want(t, "push an index", 201, "")
		artifact := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"a/b","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[]}`,
			oci.TypeImage, s.pushBlob(t, "team/app", "{}"))
		s.do(t, "PUT", "/v2/team/app/manifests/"+string(sum(artifact)), artifact, "Content-Type", oci.TypeImage).want(t, "push an artifact", 201, "")

		const first, second = `"2026-03-01T12:00:00.0000000Z"`, `"2026-03-01T12:00:01.5000000Z"`
		s.tells(t, "repository", s.do(t, "GET", "/acr/v1/team%2Fapp?api-version=2021-07-01", nil), `{"registry":"HOST","imageName":"team/app",
			"createdTime":`+first+`,"lastUpdateTime":`+second+`,"manifestCount":3,"tagCount":2,"changeableAttributes":`+open+`}`)
		tagV1 := `{"name":"v1","digest":"` + string(image) + `","createdTime":` + first + `,"lastUpdateTime":` + first + `,"signed":false,"changeableAttributes":` + open + `}`
		tagAll := `{"name":"all","digest":"` + string(sum(index)) + `","createdTime":` + second + `,"lastUpdateTime":` + second + `,"signed":false,"changeableAttributes":` + open + `}`
		const begin = `{"registry":"HOST","imageName":"team/app",`
		s.tells(t, "tag", s.do(t, "GET", "/acr/v1/team/app/_tags/v1", nil), begin+`"tag":`+tagV1+`}`)
		s.tells(t, "tags", s.do(t, "GET", "/acr/v1/team/app/_tags", nil), begin+`"tags":[`+tagAll+`,`+tagV1+`]}`)
		s.tells(t, "tags by time", s.do(t, "GET", "/acr/v1/team/app/_tags?orderby=timeasc", nil), begin+`"tags":[`+tagV1+`,`+tagAll+`]}`)
		s.tells(t, "tags of a digest", s.do(t, "GET", "/acr/v1/team/app/_tags?digest="+string(image), nil), begin+`"tags":[`+tagV1+`]}`)
		s.tells(t, "tags of no digest", s.do(t, "GET", "/acr/v1/team/app/_tags?digest=sha256:no", nil), begin+`"tags":null}`)
		s.tells(t, "tags after the last", s.do(t, "GET", "/acr/v1/team/app/_tags?last=v1", nil), begin+`"tags":null}`)
		s.tells(t, "manifests after the last", s.do(t, "GET", "/acr/v1/team/app/_manifests?n=0", nil), begin+`"manifests":null}`)

		size := len(config) + len("layer")
		ofImage := `{"digest":"` + string(image) + `","imageSize":` + fmt.Sprint(size) + `,"createdTime":` + first + `,"lastUpdateTime":` + first + `,
			"architecture":"arm64","os":"linux","mediaType":"` + oci.TypeImage + `","configMediaType":"` + oci.TypeImageConfig + `","tags":["v1"],"changeableAttributes":` + open + `}`
		ofIndex := `{"digest":"` + string(sum(index)) + `","imageSize":` + fmt.Sprint(size) + `,"createdTime":` + second + `,"lastUpdateTime":` + second + `,
			"references":[{"digest":"` + string(image) + `","architecture":"arm64","os":"linux"}],
			"mediaType":"` + oci.TypeIndex + `","tags":["all"],"changeableAttributes":` + open + `}`
		ofArtifact := `{"digest":"` + string(sum(artifact)) + `","imageSize":2,"createdTime":` + second + `,"lastUpdateTime":` + second + `,
			"mediaType":"` + oci.TypeImage + `","configMediaType":"application/vnd.oci.empty.v1+json","changeableAttributes":` + open + `}`
		s.tells(t, "image", s.do(t, "GET", "/acr/v1/team/app/_manifests/"+string(image), nil), begin+`"manifest":`+ofImage+`}`)
		s.tells(t, "index", s.do(t, "GET", "/acr/v1/team%2Fapp/_manifests/"+string(sum(index)), nil), begin+`"manifest":`+ofIndex+`}`)
		list := map[oci.Digest]string{image: ofImage, sum(index): ofIndex, sum(artifact): ofArtifact}
		var sorted []string
		for _, d := range slices.Sorted(func(yield func(oci.Digest) bool) {
			for d := range list {
				if !yield(d) {
					return
				}
			}
		}) {
			sorted = append(sorted, list[d])
		}
		s.tells(t, "manifests", s.do(t, "GET", "/acr/v1/team/app/_manifests", nil), begin+`"manifests":[`+strings.Join(sorted, ",")+`]}`)

		s.do(t, "DELETE", "/acr/v1/team/app/_tags/v1", nil).want(t, "untag", 202, "")
		a := s.do(t, "GET", "/acr/v1/team/app/_manifests/"+string(image), nil)
		if strings.Contains(a.body, `"tags"`) {
			t.Errorf("a manifest without a tag: %s", a.body)
		}
		if a := s.do(t, "GET", "/acr/v1/team/app", nil); !strings.Contains(a.body, `"manifestCount":3,"tagCount":1`) {
			t.Errorf("after the untag: %s", a.body)
		}
		for path, code := range map[string]string{
			"/acr/v1/no/where": "NAME_UNKNOWN", "/acr/v1/no/where/_tags": "NAME_UNKNOWN", "/acr/v1/no/where/_manifests": "NAME_UNKNOWN",
			"/acr/v1/team/app/_tags/v9": "TAG_UNKNOWN", "/acr/v1/team/app/_manifests/v1": "MANIFEST_UNKNOWN",
			"/acr/v1/team/app/_manifests/" + string(sum("no")): "MANIFEST_UNKNOWN",
		} {
			s.do(t, "GET", path, nil).want(t, path, 404, code)
		}
		s.do(t, "GET", "/acr/v1/team/app/_tags?orderby=size", nil).want(t, "an order that is none", 400, "UNSUPPORTED")
		s.do(t, "GET", "/acr/v1/team/app/_manifests?last=v1", nil).want(t, "to go on after no digest", 400, "DIGEST_INVALID")
	})
}

// Pages by time hold each tag once, though tags move and go between them.
func TestPagesByTime(t *testing.T) {
	t.Parallel()
	eachAt(t, func(t *testing.T, s *server, c *clock) {
		body, _ := s.pushImage(t, "app", "t00", "{}")
		for i := 1; i < 10; i++ {
			if i%3 != 0 { // some are pushed at one time
				c.advance(time.Second)
			}
			s.put(t, "app", fmt.Sprintf("t%02d", i), oci.TypeImage, body).want(t, "tag", 201, "")
		}
		walk := func(order string, between func(last string)) (got []string) {
			path := "/acr/v1/app/_tags?n=3&orderby=" + order
			for path != "" {
				a := s.do(t, "GET", path, nil)
				a.want(t, path, 200, "")
				var page struct {
					Tags []struct {
						Name string `json:"name"`
					} `json:"tags"`
				}
				if err := json.Unmarshal([]byte(a.body), &page); err != nil {
					t.Fatal(err)
				}
				for _, tag := range page.Tags {
					got = append(got, tag.Name)
				}
				if path = a.next(t); path != "" {
					between(got[len(got)-1])
				}
			}
			return got
		}
		want := []string{"t00", "t01", "t02", "t03", "t04", "t05", "t06", "t07", "t08", "t09"}
		if got := walk("timeasc", func(string) {}); !slices.Equal(got, want) {
			t.Errorf("the oldest first: %v", got)
		}
		slices.Reverse(want)
		if got := walk("timedesc", func(string) {}); !slices.Equal(got, want) {
			t.Errorf("the newest first: %v", got)
		}
		moved := walk("timedesc", func(last string) {
			c.advance(time.Second)
			s.put(t, "app", last, oci.TypeImage, body).want(t, "push again", 201, "")
		})
		if !slices.Equal(moved, want) {
			t.Errorf("while what a page ends with is pushed again: %v", moved)
		}
		var order []string
		gone := walk("timeasc", func(last string) {
			order = append(order, last)
			s.do(t, "DELETE", "/acr/v1/app/_tags/"+last, nil).want(t, "untag", 202, "")
		})
		if len(gone) != 10 || len(order) != 3 {
			t.Errorf("while what a page ends with goes: %v", gone)
		}
		s.do(t, "GET", "/acr/v1/app/_tags?orderby=timedesc&last=never", nil).want(t, "after what never was", 400, "UNSUPPORTED")
	})
}

const disallowed = `{"errors":[{"code":"REGISTRY_DISALLOWED_OPERATION","message":"The operation is disallowed on this registry, repository or image. ` +
	`View troubleshooting steps at https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation","detail":{}}]}` + "\n"

// Each flag, on each of the three levels, refuses just what it is for.
func TestLocks(t *testing.T) {
	t.Parallel()
	const repo, tag, digest = "/acr/v1/app", "/acr/v1/app/_tags/v1", "/acr/v1/app/_manifests/"
	type does int
	const (
		pullTag does = 1 << iota
		pullDigest
		pullOther // by the other tag, which names the same
		pullBlob
		pushBlob
		pushNew  // another manifest under a new tag
		moveTag  // another manifest under the tag
		retag    // the same manifest under a new tag
		untag    // the tag
		untagOne // the other tag
		deleteIt // the manifest
		deleteOther
		deleteAll
		mount
		referrers
	)
	for _, c := range []struct {
		what, path, flag string
		refused          does
	}{
		{"repository", repo, "writeEnabled", pushBlob | pushNew | moveTag | retag | untag | untagOne | deleteIt | deleteOther | deleteAll},
		{"repository", repo, "deleteEnabled", deleteAll},
		{"repository", repo, "readEnabled", pullTag | pullDigest | pullOther | pullBlob | mount | referrers},
		{"repository", repo, "listEnabled", 0},
		{"manifest", digest, "writeEnabled", retag | deleteIt | deleteAll},
		{"manifest", digest, "deleteEnabled", deleteIt | deleteAll},
		{"manifest", digest, "readEnabled", pullTag | pullDigest | pullOther},
		{"manifest", digest, "listEnabled", 0},
		{"tag", tag, "writeEnabled", moveTag | untag | deleteIt | deleteAll},
		{"tag", tag, "deleteEnabled", untag | deleteIt | deleteAll},
		{"tag", tag, "readEnabled", pullTag},
		{"tag", tag, "listEnabled", 0},
	} {
		t.Run(c.what+" "+c.flag, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *server) {
				body, d := s.pushImage(t, "app", "v1", `{"os":"linux"}`)
				s.put(t, "app", "same", oci.TypeImage, body).want(t, "a second tag", 201, "")
				another := s.image(t, "app", `{"os":"windows"}`)
				s.put(t, "app", "other", oci.TypeImage, another).want(t, "another image", 201, "")
				third := s.image(t, "app", `{"os":"plan9"}`)
				path := strings.Replace(c.path, "_manifests/", "_manifests/"+string(d), 1)
				// What was read before is remembered; the flag holds from its answer on all the same.
				for _, ref := range []string{"v1", "same", string(d)} {
					s.do(t, "GET", "/v2/app/manifests/"+ref, nil).want(t, "read first", 200, "")
				}
				blob := "/v2/app/blobs/" + string(sum(`{"os":"linux"}`))
				s.do(t, "GET", blob, nil).want(t, "read a blob first", 200, "")
				a := s.do(t, "PATCH", path, `{"`+c.flag+`":false}`)
				a.want(t, "lock", 200, "")
				if !strings.Contains(a.body, `"`+c.flag+`":false`) || strings.Count(a.body, "false") > 1+strings.Count(a.body, `"signed":false`) {
					t.Errorf("locked: %s", a.body)
				}
				steps := []struct {
					does   does
					name   string
					answer func() answer
				}{
					{pullTag, "pull by tag", func() answer { return s.do(t, "GET", "/v2/app/manifests/v1", nil) }},
					{pullDigest, "pull by digest", func() answer { return s.do(t, "GET", "/v2/app/manifests/"+string(d), nil) }},
					{pullOther, "pull by the other tag", func() answer { return s.do(t, "GET", "/v2/app/manifests/same", nil) }},
					{pullBlob, "pull a blob", func() answer { return s.do(t, "GET", blob, nil) }},
					{mount, "mount from it", func() answer {
						a := s.do(t, "POST", "/v2/else/blobs/uploads/?from=app&mount="+string(sum(`{"os":"linux"}`)), nil)
						if a.status == 202 { // as if it were not there
							a.status, a.body = 405, disallowed
						}
						return a
					}},
					{referrers, "referrers", func() answer { return s.do(t, "GET", "/v2/app/referrers/"+string(d), nil) }},
					{pushBlob, "push a blob", func() answer { return s.do(t, "POST", "/v2/app/blobs/uploads/?digest="+string(sum("new")), "new") }},
					{pushNew, "push", func() answer { return s.put(t, "app", "new", oci.TypeImage, third) }},
					{retag, "tag it", func() answer { return s.put(t, "app", "third", oci.TypeImage, body) }},
					{moveTag, "move the tag", func() answer { return s.put(t, "app", "v1", oci.TypeImage, another) }},
					{untagOne, "untag the other", func() answer { return s.do(t, "DELETE", "/acr/v1/app/_tags/same", nil) }},
					{untag, "untag", func() answer {
						if c.refused&moveTag == 0 { // it moved: back
							_ = s.put(t, "app", "v1", oci.TypeImage, body)
						}
						return s.do(t, "DELETE", "/acr/v1/app/_tags/v1", nil)
					}},
					{deleteOther, "delete another", func() answer { return s.do(t, "DELETE", "/v2/app/manifests/"+string(sum(another)), nil) }},
					{deleteIt, "delete", func() answer { return s.do(t, "DELETE", "/v2/app/manifests/"+string(d), nil) }},
					{deleteAll, "delete the repository", func() answer { return s.do(t, "DELETE", "/acr/v1/app", nil) }},
				}
				for _, step := range steps {
					a := step.answer()
					switch {
					case c.refused&step.does != 0 && (a.status != 405 || a.body != disallowed):
						t.Errorf("%s: %d %s, want 405", step.name, a.status, a.body)
					case c.refused&step.does == 0 && a.status/100 != 2:
						t.Errorf("%s: %d %s", step.name, a.status, a.body)
					}
				}
			})
		})
	}
}

// What is hidden is in no list, is told of all the same, and comes back.
func TestHidden(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		_, d := s.pushImage(t, "app", "v1", "{}")
		for _, c := range []struct{ path, list, word string }{
			{"/acr/v1/app", "/v2/_catalog", `"app"`},
			{"/acr/v1/app/_tags/v1", "/v2/app/tags/list", `"v1"`},
			{"/acr/v1/app/_tags/v1", "/acr/v1/app/_tags", `"v1"`},
			{"/acr/v1/app/_tags/v1", "/acr/v1/app/_tags?orderby=timedesc", `"v1"`},
			{"/acr/v1/app/_manifests/" + string(d), "/acr/v1/app/_manifests", string(d)},
		} {
			for _, enabled := range []bool{false, true} {
				s.do(t, "PATCH", c.path, fmt.Sprintf(`{"listEnabled":%t,"readEnabled":%[1]t,"writeEnabled":%[1]t,"deleteEnabled":%[1]t}`, enabled)).want(t, "patch", 200, "")
				if a := s.do(t, "GET", c.list, nil); a.status != 200 || strings.Contains(a.body, c.word) != enabled {
					t.Errorf("%s with listEnabled=%t of %s: %d %s", c.list, enabled, c.path, a.status, a.body)
				}
				s.do(t, "GET", c.path, nil).want(t, c.path, 200, "")
			}
		}
	})
}

// Values are kept with a repository, a tag and a manifest, and go with them.
func TestMetadata(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		body, d := s.pushImage(t, "app", "v1", "{}")
		for path, of := range map[string]string{
			"/acr/v1/app": "", "/acr/v1/app/_tags/v1": `"tagName":"v1",`, "/acr/v1/app/_manifests/" + string(d): `"digest":"` + string(d) + `",`,
		} {
			path += "/_metadata"
			s.tells(t, path, s.do(t, "GET", path, nil), `{"registry":"HOST","imageName":"app",`+of+`"metadata":[]}`)
			s.do(t, "GET", path+"/owner", nil).want(t, "none yet", 404, "NAME_UNKNOWN")
			s.do(t, "PUT", path+"/owner", `{"value":"us"}`).want(t, "put", 201, "")
			s.do(t, "PUT", path+"/owner", `"them"`).want(t, "put again", 200, "")
			s.do(t, "PUT", path+"/a", `no JSON`).want(t, "put what is no JSON", 400, "UNSUPPORTED")
			s.do(t, "PUT", path+"/a", `"`+strings.Repeat("x", 64<<10)+`"`).want(t, "put too much", 413, "SIZE_INVALID")
			s.tells(t, path, s.do(t, "GET", path+"/owner", nil), `{"value":"them"}`)
			s.tells(t, path, s.do(t, "GET", path, nil), `{"registry":"HOST","imageName":"app",`+of+`"metadata":["owner"]}`)
			s.do(t, "PUT", path+"/b", `{"value":1}`).want(t, "put", 201, "")
			s.do(t, "DELETE", path+"/b", nil).want(t, "delete", 202, "")
			s.do(t, "DELETE", path+"/b", nil).want(t, "delete again", 404, "NAME_UNKNOWN")
		}
		s.do(t, "DELETE", "/v2/app/manifests/"+string(d), nil).want(t, "delete the manifest", 202, "")
		s.put(t, "app", "v1", oci.TypeImage, body).want(t, "push it again", 201, "")
		for _, path := range []string{"/acr/v1/app", "/acr/v1/app/_tags/v1", "/acr/v1/app/_manifests/" + string(d)} {
			if a := s.do(t, "GET", path+"/_metadata", nil); !strings.Contains(a.body, `"metadata":[]`) {
				t.Errorf("%s was gone, and has %s", path, a.body)
			}
		}
	})
}

// To read attributes takes metadata_read, to change them metadata_write; the challenge says so.
func TestAttributeRights(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.pushImage(t, "app", "v1", "{}")
		token := s.token(t, "repository:app:pull,push,delete")
		for _, path := range []string{"/acr/v1/app", "/acr/v1/app/_tags/v1", "/acr/v1/app/_manifests/" + string(sum("x")), "/acr/v1/app/_metadata/k"} {
			for method, action := range map[string]string{"GET": "metadata_read", "PATCH": "metadata_write"} {
				if strings.HasSuffix(path, "/k") && method == "PATCH" {
					method = "PUT"
				}
				a := s.send(t, method, path, "{}", "Authorization", token)
				a.want(t, method+" "+path, 401, "UNAUTHORIZED")
				if got := a.header.Get("Www-Authenticate"); !strings.Contains(got, `scope="repository:app:`+action+`"`) {
					t.Errorf("%s %s: challenge %s", method, path, got)
				}
			}
		}
		good := s.token(t, "repository:app:metadata_read,metadata_write")
		s.send(t, "PATCH", "/acr/v1/app", `{"writeEnabled":false,"teleportEnabled":true}`, "Authorization", good).want(t, "patch", 200, "")
		s.send(t, "PATCH", "/acr/v1/app", `[]`, "Authorization", good).want(t, "patch with a list", 400, "UNSUPPORTED")
		s.send(t, "PATCH", "/acr/v1/app", `{"writeEnabled":"no"}`, "Authorization", good).want(t, "patch with a text", 400, "UNSUPPORTED")
	})
}

// A scanner's word is kept with the manifest.
func TestQuarantineAttributes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		_, d := s.pushImage(t, "app", "v1", "{}")
		path := "/acr/v1/app/_manifests/" + string(d)
		s.do(t, "PATCH", path, `{"quarantineState":"Passed","quarantineDetails":"{\"state\":\"Scan Passed\"}"}`).want(t, "patch", 200, "")
		s.do(t, "PATCH", path, `{"deleteEnabled":false}`).want(t, "patch", 200, "")
		a := s.do(t, "GET", path, nil)
		const want = `"changeableAttributes":{"deleteEnabled":false,"writeEnabled":true,"readEnabled":true,"listEnabled":true,` +
			`"quarantineState":"Passed","quarantineDetails":"{\"state\":\"Scan Passed\"}"}`
		if !strings.Contains(a.body, want) {
			t.Errorf("%s", a.body)
		}
	})
}

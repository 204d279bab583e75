package ocitest

import (
	"strings"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

var nameCases = []testCase{
	{"name/repository", nameRepository},
	{"name/tag", nameTag},
	{"name/digest", nameDigest},
	{"name/longest", nameLongest},
}

func nameRepository(s *suite) {
	d := s.tagged("app", "v1", "one").Digest
	m := s.json(s.image("app", "one"))
	for _, repo := range []string{"", "A", "a//b", "/a", "a/", "-a", "a_", "a___b", "a..b", "a b", "a/../b", "ä", strings.Repeat("a", oci.MaxName+1)} {
		_, err := s.reg.Resolve(s.ctx, repo, oci.Ref{Tag: "v1"})
		s.fails(err, fault.NameInvalid, "resolve in "+repo)
		_, _, err = s.reg.Manifest(s.ctx, repo, oci.Ref{Digest: d})
		s.fails(err, fault.NameInvalid, "manifest in "+repo)
		_, err = s.reg.StatBlob(s.ctx, repo, d)
		s.fails(err, fault.NameInvalid, "stat in "+repo)
		r, err := s.reg.OpenBlob(s.ctx, repo, d, 0, -1)
		s.fails(err, fault.NameInvalid, "open in "+repo)
		closeIf(r)
		_, err = s.reg.PushBlob(s.ctx, repo, sum(nil), strings.NewReader(""))
		s.fails(err, fault.NameInvalid, "push to "+repo)
		_, err = s.reg.StartUpload(s.ctx, repo)
		s.fails(err, fault.NameInvalid, "start upload in "+repo)
		_, err = s.reg.ResumeUpload(s.ctx, repo, "no-such-upload")
		s.fails(err, fault.NameInvalid, "resume upload in "+repo)
		_, err = s.reg.MountBlob(s.ctx, repo, "app", d)
		s.fails(err, fault.NameInvalid, "mount into "+repo)
		if repo != "" {
			_, err = s.reg.MountBlob(s.ctx, "app", repo, d)
			s.fails(err, fault.NameInvalid, "mount from "+repo)
		}
		_, err = s.reg.PutManifest(s.ctx, repo, oci.Ref{Tag: "v1"}, oci.TypeImage, m)
		s.fails(err, fault.NameInvalid, "put in "+repo)
		s.fails(s.reg.DeleteManifest(s.ctx, repo, d), fault.NameInvalid, "delete manifest in "+repo)
		s.fails(s.reg.DeleteTag(s.ctx, repo, "v1"), fault.NameInvalid, "delete tag in "+repo)
		s.fails(s.reg.DeleteBlob(s.ctx, repo, d), fault.NameInvalid, "delete blob in "+repo)
		_, err = s.reg.DeleteRepository(s.ctx, repo)
		s.fails(err, fault.NameInvalid, "delete repository "+repo)
		_, _, err = s.reg.Tags(s.ctx, repo, oci.Page{Limit: 1})
		s.fails(err, fault.NameInvalid, "tags of "+repo)
		_, err = s.reg.Referrers(s.ctx, repo, d, "", oci.Page{Limit: 1})
		s.fails(err, fault.NameInvalid, "referrers in "+repo)
	}
	s.list(s.repositories(), "repositories", "app")
}

func nameTag(s *suite) {
	m := s.json(s.image("app", "one"))
	for _, tag := range []string{"", ".a", "-a", "a b", "a/b", "ä", "a+b", strings.Repeat("a", oci.MaxTag+1)} {
		ref := oci.Ref{Tag: tag}
		_, err := s.reg.PutManifest(s.ctx, "app", ref, oci.TypeImage, m)
		s.fails(err, fault.TagInvalid, "put under "+tag)
		_, err = s.reg.Resolve(s.ctx, "app", ref)
		s.fails(err, fault.TagInvalid, "resolve "+tag)
		_, _, err = s.reg.Manifest(s.ctx, "app", ref)
		s.fails(err, fault.TagInvalid, "manifest "+tag)
		s.fails(s.reg.DeleteTag(s.ctx, "app", tag), fault.TagInvalid, "delete "+tag)
	}
}

func nameDigest(s *suite) {
	m := s.json(s.image("app", "one"))
	for _, d := range []oci.Digest{"sha256", "sha256:", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", oci.Digest(strings.ToUpper(string(absent))), absent + "0"} {
		ref := oci.Ref{Digest: d}
		_, err := s.reg.Resolve(s.ctx, "app", ref)
		s.fails(err, fault.DigestInvalid, "resolve "+string(d))
		_, _, err = s.reg.Manifest(s.ctx, "app", ref)
		s.fails(err, fault.DigestInvalid, "manifest "+string(d))
		_, err = s.reg.PutManifest(s.ctx, "app", ref, oci.TypeImage, m)
		s.fails(err, fault.DigestInvalid, "put under "+string(d))
		_, err = s.reg.StatBlob(s.ctx, "app", d)
		s.fails(err, fault.DigestInvalid, "stat "+string(d))
		r, err := s.reg.OpenBlob(s.ctx, "app", d, 0, -1)
		s.fails(err, fault.DigestInvalid, "open "+string(d))
		closeIf(r)
		_, err = s.reg.PushBlob(s.ctx, "app", d, strings.NewReader("x"))
		s.fails(err, fault.DigestInvalid, "push "+string(d))
		_, err = s.reg.MountBlob(s.ctx, "app", "other", d)
		s.fails(err, fault.DigestInvalid, "mount "+string(d))
		s.fails(s.reg.DeleteManifest(s.ctx, "app", d), fault.DigestInvalid, "delete manifest "+string(d))
		s.fails(s.reg.DeleteBlob(s.ctx, "app", d), fault.DigestInvalid, "delete blob "+string(d))
		_, err = s.reg.Referrers(s.ctx, "app", d, "", oci.Page{Limit: 1})
		s.fails(err, fault.DigestInvalid, "referrers of "+string(d))
	}
}

func nameLongest(s *suite) {
	repo := strings.Repeat("a/", (oci.MaxName-1)/2) + "a"
	tag := strings.Repeat("t", oci.MaxTag)
	d := s.tagged(repo, tag, "one").Digest
	s.resolves(repo, oci.Ref{Tag: tag}, d)
	s.list(s.repositories(), "repositories", repo)
	s.list(s.tags(repo), "tags", tag)
}

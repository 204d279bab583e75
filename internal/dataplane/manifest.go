package dataplane

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/web"
)

// reference reads a tag or digest for a request that looks something up: a tag that cannot exist does not exist.
func (q *request) reference() (oci.Ref, error) {
	ref, err := oci.ParseRef(q.ref)
	if errors.Is(err, fault.TagInvalid) {
		err = fault.New(fault.ManifestUnknown, "manifest tagged by %.140q is not found", q.ref).
			With(map[string]string{"Name": q.repo, "Tag": q.ref})
	}
	return ref, err
}

// manifest answers GET and HEAD with the stored bytes, whatever the client says it accepts.
func (f *Face) manifest(q *request, w http.ResponseWriter, r *http.Request) error {
	ref, err := q.reference()
	if err != nil {
		return err
	}
	desc, body, err := q.in.Manifest(r.Context(), q.repo, ref)
	if err != nil {
		return err
	}
	q.desc = desc
	h := w.Header()
	describe(h, desc)
	if match(r.Header["If-None-Match"], string(desc.Digest)) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = []string{desc.MediaType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	if r.Method == http.MethodGet {
		_, err = w.Write(body)
	}
	return err
}

// describe sets the digest's headers.
func describe(h http.Header, desc oci.Descriptor) {
	values := [2]string{string(desc.Digest), `"` + string(desc.Digest) + `"`}
	h["Docker-Content-Digest"] = values[0:1:1]
	h["Etag"] = values[1:2:2]
}

// match tells whether one of the entity tags, quoted, weak or bare, is the digest.
func match(headers []string, digest string) bool {
	for _, header := range headers {
		for tag := range strings.SplitSeq(header, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == "*" || strings.Trim(tag, `"`) == digest {
				return true
			}
		}
	}
	return false
}

func (f *Face) putManifest(q *request, w http.ResponseWriter, r *http.Request) error {
	ref, err := oci.ParseRef(q.ref)
	if err != nil {
		return err
	}
	// Asked again inside; here so that nobody without the right has a body read.
	if err := f.opt.Auth.Allow(r.Context(), q.reg, acr.Repository(q.repo), acr.Pull, acr.Push); err != nil {
		return err
	}
	body, err := web.ReadBody(w, r, oci.MaxManifest)
	if errors.Is(err, fault.TooLarge) {
		return fault.New(fault.ManifestTooLarge, "http: request body too large: a manifest has at most %d bytes", oci.MaxManifest)
	}
	if err != nil {
		return err
	}
	refs, err := withTags(ref, r.URL.Query()["tag"])
	if err != nil {
		return err
	}
	h := w.Header()
	var desc oci.Descriptor
	for _, ref := range refs {
		if desc, err = q.in.PutManifest(r.Context(), q.repo, ref, r.Header.Get("Content-Type"), body); err != nil {
			return err
		}
		if ref.Digest != "" && ref.Tag != "" {
			h.Add("OCI-Tag", ref.Tag)
		}
	}
	if bytes.Contains(body, []byte(`"subject"`)) {
		// It parsed a moment ago.
		if m, err := oci.ParseManifest(desc.MediaType, body); err == nil && m.Subject != nil {
			h.Set("OCI-Subject", string(m.Subject.Digest))
		}
	}
	q.desc = desc
	describe(h, desc)
	created(h, "/v2/"+q.repo+"/manifests/"+string(desc.Digest))
	w.WriteHeader(http.StatusCreated)
	return nil
}

// maxTags is how many tags one push may set besides.
const maxTags = 100

// withTags is a push by digest that sets tags too (?tag=a&tag=b, distribution-spec after 1.1.1).
func withTags(ref oci.Ref, tags []string) ([]oci.Ref, error) {
	if ref.Digest == "" || len(tags) == 0 {
		return []oci.Ref{ref}, nil
	}
	if len(tags) > maxTags {
		return nil, fault.New(fault.TagInvalid, "%d tags are set at once; at most %d may be", len(tags), maxTags)
	}
	refs := make([]oci.Ref, len(tags))
	for i, tag := range tags {
		if err := oci.CheckTag(tag); err != nil {
			return nil, err
		}
		refs[i] = oci.Ref{Tag: tag, Digest: ref.Digest}
	}
	return refs, nil
}

// created sets what goes with an empty answer that leads elsewhere.
func created(h http.Header, location string) {
	h["Location"] = []string{location}
	h["Content-Length"] = zero
}

var zero = []string{"0"}

func accepted(w http.ResponseWriter) error {
	w.Header()["Content-Length"] = zero
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (f *Face) deleteManifest(q *request, w http.ResponseWriter, r *http.Request) error {
	ref, err := q.reference()
	if err != nil {
		return err
	}
	if ref.Tag != "" {
		err = q.in.DeleteTag(r.Context(), q.repo, ref.Tag)
	} else {
		err = q.in.DeleteManifest(r.Context(), q.repo, ref.Digest)
	}
	if err != nil {
		return err
	}
	return accepted(w)
}

// deleteTag is az's untag: DELETE /acr/v1/<name>/_tags/<tag>.
func (f *Face) deleteTag(q *request, w http.ResponseWriter, r *http.Request) error {
	err := q.in.DeleteTag(r.Context(), q.repo, q.ref)
	if errors.Is(err, fault.ManifestUnknown) || errors.Is(err, fault.TagInvalid) {
		err = fault.New(fault.TagUnknown, "the specified tag does not exist")
	}
	if err != nil {
		return err
	}
	return accepted(w)
}

// deleteRepository is az's delete of a repository: DELETE /acr/v1/<name>.
func (f *Face) deleteRepository(q *request, w http.ResponseWriter, r *http.Request) error {
	gone, err := q.in.DeleteRepository(r.Context(), q.repo)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusAccepted, struct {
		Manifests []oci.Digest `json:"manifestsDeleted"`
		Tags      []string     `json:"tagsDeleted"`
	}{orEmpty(gone.Manifests), orEmpty(gone.Tags)})
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (f *Face) tags(q *request, w http.ResponseWriter, r *http.Request) error {
	p, err := web.ParsePage(r.URL.Query())
	if err != nil {
		return err
	}
	names, more, err := q.in.Tags(r.Context(), q.repo, oci.Page{After: p.Last, Limit: p.Limit})
	if err != nil {
		return err
	}
	linkNext(w, r, p, names, more)
	return web.WriteJSON(w, http.StatusOK, struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{q.repo, orEmpty(names)})
}

func (f *Face) catalog(q *request, w http.ResponseWriter, r *http.Request) error {
	p, err := web.ParsePage(r.URL.Query())
	if err != nil {
		return err
	}
	names, more, err := q.in.Repositories(r.Context(), oci.Page{After: p.Last, Limit: p.Limit})
	if err != nil {
		return err
	}
	linkNext(w, r, p, names, more)
	return web.WriteJSON(w, http.StatusOK, struct {
		Repositories []string `json:"repositories"`
	}{orEmpty(names)})
}

func linkNext(w http.ResponseWriter, r *http.Request, p web.Page, names []string, more bool) {
	if more && len(names) > 0 {
		w.Header().Set("Link", web.NextLink(r, p, names[len(names)-1]))
	}
}

// Bounds of a request for referrers.
const (
	defaultReferrers = 500
	maxFilters       = 8
)

// referrers lists what refers to a manifest. The type of the answer is exact: clients compare it. The filter may be
// repeated, and then takes what matches any.
func (f *Face) referrers(q *request, w http.ResponseWriter, r *http.Request) error {
	subject, err := oci.ParseDigest(q.ref)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	p, err := web.ParsePage(query)
	if err != nil {
		return err
	}
	if !query.Has("n") {
		p.Limit = defaultReferrers
	}
	types := filters(query)
	page, err := q.in.Referrers(r.Context(), q.repo, subject, types[0], oci.Page{After: p.Last, Limit: p.Limit})
	for _, also := range types[1:] {
		if err != nil {
			break
		}
		var next *oci.Referrers
		next, err = q.in.Referrers(r.Context(), q.repo, subject, also, oci.Page{After: p.Last, Limit: p.Limit})
		if err == nil {
			page = merge(page, next, p.Limit)
		}
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", oci.TypeIndex)
	if types[0] != "" {
		h.Set("OCI-Filters-Applied", "artifactType")
	}
	if n := len(page.Manifests); page.More && n > 0 {
		h.Set("Link", web.NextLink(r, p, string(page.Manifests[n-1].Digest), "artifactType"))
	}
	body := page.Index()
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, err = w.Write(body)
	return err
}

// filters are the artifact types asked for; one "" is no filter.
func filters(query url.Values) []string {
	types := slices.DeleteFunc(slices.Clone(query["artifactType"]), func(t string) bool { return t == "" })
	slices.Sort(types)
	types = slices.Compact(types)
	if len(types) == 0 {
		return []string{""}
	}
	return types[:min(len(types), maxFilters)]
}

// merge joins two pages of one list. What comes after the end of a page that has more is left for the next.
func merge(a, b *oci.Referrers, limit int) *oci.Referrers {
	end := func(p *oci.Referrers) string {
		if !p.More || len(p.Manifests) == 0 {
			return "\xff"
		}
		return string(p.Manifests[len(p.Manifests)-1].Digest)
	}
	cutoff := min(end(a), end(b))
	out := &oci.Referrers{More: a.More || b.More}
	list := slices.Concat(a.Manifests, b.Manifests)
	slices.SortFunc(list, func(x, y oci.Descriptor) int { return strings.Compare(string(x.Digest), string(y.Digest)) })
	for _, d := range list {
		if string(d.Digest) > cutoff || len(out.Manifests) == limit {
			out.More = true
			break
		}
		out.Manifests = append(out.Manifests, d)
	}
	return out
}

func (f *Face) ping(q *request, w http.ResponseWriter, r *http.Request) error {
	if err := f.opt.Auth.Known(r.Context(), q.reg); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct{}{})
}

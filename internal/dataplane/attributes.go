package dataplane

import (
	"encoding/json"
	"net/http"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/web"
)

// image is what every answer about tags and manifests begins with.
type image struct {
	Registry  string `json:"registry"`
	ImageName string `json:"imageName"`
}

func (q *request) image(r *http.Request) image { return image{r.Host, q.repo} }

// maxChange bounds the body of a PATCH, in bytes.
const maxChange = 256 << 10

// change reads the body of a PATCH.
func change(w http.ResponseWriter, r *http.Request) (c acr.AttributeChange, err error) {
	body, err := web.ReadBody(w, r, maxChange)
	if err != nil {
		return c, err
	}
	if json.Unmarshal(body, &c) != nil {
		return c, fault.New(fault.Invalid, "the attributes are not JSON such as {\"deleteEnabled\":true,\"writeEnabled\":false}")
	}
	return c, nil
}

func (f *Face) repository(q *request, w http.ResponseWriter, r *http.Request) error {
	info, err := f.opt.Content.In(q.reg).RepositoryInfo(r.Context(), q.repo)
	return writeRepository(w, r, info, err)
}

func (f *Face) patchRepository(q *request, w http.ResponseWriter, r *http.Request) error {
	c, err := change(w, r)
	if err != nil {
		return err
	}
	info, err := f.opt.Content.In(q.reg).ChangeRepository(r.Context(), q.repo, c)
	return writeRepository(w, r, info, err)
}

func writeRepository(w http.ResponseWriter, r *http.Request, info acr.RepositoryInfo, err error) error {
	if err != nil {
		return err
	}
	info.Registry = r.Host
	return web.WriteJSON(w, http.StatusOK, info)
}

// listing reads what page of tags or manifests is asked for.
func listing(r *http.Request) (web.Page, acr.Listing, error) {
	query := r.URL.Query()
	p, err := web.ParsePage(query)
	if err != nil {
		return p, acr.Listing{}, err
	}
	order, err := acr.ParseOrder(p.OrderBy)
	return p, acr.Listing{Digest: oci.Digest(query.Get("digest")), Order: order, Page: oci.Page{After: p.Last, Limit: p.Limit}}, err
}

// tagInfos lists tags; of none the list is null, which is what all clients can read.
func (f *Face) tagInfos(q *request, w http.ResponseWriter, r *http.Request) error {
	p, l, err := listing(r)
	if err != nil {
		return err
	}
	list, more, err := f.opt.Content.In(q.reg).TagInfos(r.Context(), q.repo, l)
	if err != nil {
		return err
	}
	if more {
		w.Header().Set("Link", web.NextLink(r, p, list[len(list)-1].Name, "digest"))
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		image
		Tags []acr.TagInfo `json:"tags"`
	}{q.image(r), list})
}

func (f *Face) tag(q *request, w http.ResponseWriter, r *http.Request) error {
	info, err := f.opt.Content.In(q.reg).TagInfo(r.Context(), q.repo, q.ref)
	return q.writeTag(w, r, info, err)
}

func (f *Face) patchTag(q *request, w http.ResponseWriter, r *http.Request) error {
	c, err := change(w, r)
	if err != nil {
		return err
	}
	info, err := f.opt.Content.In(q.reg).ChangeTag(r.Context(), q.repo, q.ref, c)
	return q.writeTag(w, r, info, err)
}

func (q *request) writeTag(w http.ResponseWriter, r *http.Request, info acr.TagInfo, err error) error {
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		image
		Tag acr.TagInfo `json:"tag"`
	}{q.image(r), info})
}

// manifestInfos lists manifests; of none the list is null, as with tags.
func (f *Face) manifestInfos(q *request, w http.ResponseWriter, r *http.Request) error {
	p, l, err := listing(r)
	if err != nil {
		return err
	}
	list, more, err := f.opt.Content.In(q.reg).ManifestInfos(r.Context(), q.repo, l)
	if err != nil {
		return err
	}
	if more {
		w.Header().Set("Link", web.NextLink(r, p, string(list[len(list)-1].Digest)))
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		image
		Manifests []acr.ManifestInfo `json:"manifests"`
	}{q.image(r), list})
}

func (f *Face) manifestInfo(q *request, w http.ResponseWriter, r *http.Request) error {
	info, err := f.opt.Content.In(q.reg).ManifestInfo(r.Context(), q.repo, oci.Digest(q.ref))
	return q.writeManifest(w, r, info, err)
}

func (f *Face) patchManifest(q *request, w http.ResponseWriter, r *http.Request) error {
	c, err := change(w, r)
	if err != nil {
		return err
	}
	info, err := f.opt.Content.In(q.reg).ChangeManifest(r.Context(), q.repo, oci.Digest(q.ref), c)
	return q.writeManifest(w, r, info, err)
}

func (q *request) writeManifest(w http.ResponseWriter, r *http.Request, info acr.ManifestInfo, err error) error {
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		image
		Manifest acr.ManifestInfo `json:"manifest"`
	}{q.image(r), info})
}

// owner is what values are kept with: nothing for the repository itself.
func (q *request) owner() oci.Ref {
	switch q.of {
	case tag:
		return oci.Ref{Tag: q.ref}
	case manifestInfo:
		return oci.Ref{Digest: oci.Digest(q.ref)}
	}
	return oci.Ref{}
}

func (f *Face) values(q *request, w http.ResponseWriter, r *http.Request) error {
	of := q.owner()
	names, err := f.opt.Content.In(q.reg).MetadataNames(r.Context(), q.repo, of)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		image
		Digest   oci.Digest `json:"digest,omitempty"`
		Tag      string     `json:"tagName,omitempty"`
		Metadata []string   `json:"metadata"`
	}{q.image(r), of.Digest, of.Tag, orEmpty(names)})
}

// held is a value on the wire.
type held struct {
	Value json.RawMessage `json:"value"`
}

func (f *Face) value(q *request, w http.ResponseWriter, r *http.Request) error {
	value, err := f.opt.Content.In(q.reg).Metadata(r.Context(), q.repo, q.owner(), q.key)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, held{value})
}

// putValue takes {"value":…} or, as older clients send it, the value alone.
func (f *Face) putValue(q *request, w http.ResponseWriter, r *http.Request) error {
	body, err := web.ReadBody(w, r, maxChange)
	if err != nil {
		return err
	}
	if !json.Valid(body) {
		return fault.New(fault.Invalid, "the value is not JSON: send {\"value\":\"…\"}")
	}
	v := held{body}
	var wrapped held
	if json.Unmarshal(body, &wrapped) == nil && wrapped.Value != nil {
		v = wrapped
	}
	made, err := f.opt.Content.In(q.reg).PutMetadata(r.Context(), q.repo, q.owner(), q.key, v.Value)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	return web.WriteJSON(w, status, v)
}

func (f *Face) deleteValue(q *request, w http.ResponseWriter, r *http.Request) error {
	if err := f.opt.Content.In(q.reg).DeleteMetadata(r.Context(), q.repo, q.owner(), q.key); err != nil {
		return err
	}
	return accepted(w)
}

package ociclient

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Bounds of what a far registry can make us hold.
const (
	maxListing = 64 << 20 // bytes of one answer
	maxPages   = 1000     // answers of one listing that has to be read whole
	wholePage  = 1000     // names asked for in each of them
)

// decode reads an answer's JSON.
func (c *Client) decode(resp *http.Response, into any) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxListing+1))
	if err != nil {
		return c.cut(err)
	}
	if len(body) > maxListing {
		return c.wrong("the answer to %s has more than %d bytes", resp.Request.URL.Path, maxListing)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return c.wrong("the answer to %s: %w", resp.Request.URL.Path, err)
	}
	return nil
}

// next is the address of the following page; nil = there is none.
func (c *Client) next(resp *http.Response) *url.URL {
	for _, link := range resp.Header.Values("Link") {
		target, params, ok := strings.Cut(link, ">")
		target, found := strings.CutPrefix(strings.TrimSpace(target), "<")
		if !ok || !found || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			continue
		}
		ref, err := url.Parse(target)
		if err != nil {
			continue
		}
		u := resp.Request.URL.ResolveReference(ref)
		u.Scheme, u.Host = c.base.Scheme, c.base.Host // behind a proxy it may name another
		return u
	}
	return nil
}

// listing reads lists of one kind of thing. read takes a page's body; key is what a thing sorts by.
type listing[T any] struct {
	c    *Client
	call call
	read func(resp *http.Response) ([]T, error)
	key  func(T) string
}

// page is the page p. ACR and its equals, known by a header of theirs, page by key in byte order. Of another registry
// neither can be known from one page (distribution sorts a/b before a-b): its list is read whole and cut here.
func (l listing[T]) page(ctx context.Context, p oci.Page) (list []T, more bool, err error) {
	if p.Limit <= 0 {
		return nil, false, nil
	}
	list, next, equal, err := l.get(ctx, l.asked(p))
	if err != nil {
		return nil, false, err
	}
	if equal && (len(list) > 0 || next == nil) {
		if !l.follows(list, p) {
			return nil, false, l.c.wrong("%s is not a page of at most %d after %q in order", l.call.url.Path, p.Limit, p.After)
		}
		return list, next != nil, nil
	}
	if list, err = l.whole(ctx); err != nil {
		return nil, false, err
	}
	from, found := slices.BinarySearchFunc(list, p.After, func(t T, after string) int { return strings.Compare(l.key(t), after) })
	if found {
		from++
	}
	end := min(from+p.Limit, len(list))
	return list[from:end], end < len(list), nil
}

// asked is the request for the page p.
func (l listing[T]) asked(p oci.Page) call {
	u := *l.call.url
	query := u.Query()
	query.Set("n", strconv.Itoa(p.Limit))
	if p.After != "" {
		query.Set("last", p.After)
	}
	u.RawQuery = query.Encode()
	k := l.call
	k.url = &u
	return k
}

func (l listing[T]) get(ctx context.Context, k call) (list []T, next *url.URL, equal bool, err error) {
	resp, err := l.c.do(ctx, k, http.StatusOK)
	if err != nil {
		return nil, nil, false, err
	}
	list, err = l.read(resp)
	return list, l.c.next(resp), resp.Header.Get("X-Ms-Correlation-Request-Id") != "", err
}

// follows tells whether list can be the page p.
func (l listing[T]) follows(list []T, p oci.Page) bool {
	prev := p.After
	for _, t := range list {
		if l.key(t) <= prev {
			return false
		}
		prev = l.key(t)
	}
	return len(list) <= p.Limit
}

// whole is the list from its beginning to its end, in order.
func (l listing[T]) whole(ctx context.Context) ([]T, error) {
	var all []T
	k := l.asked(oci.Page{Limit: wholePage})
	for range maxPages {
		list, next, _, err := l.get(ctx, k)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		if next == nil || len(list) == 0 {
			compare := func(a, b T) int { return strings.Compare(l.key(a), l.key(b)) }
			slices.SortFunc(all, compare)
			return slices.CompactFunc(all, func(a, b T) bool { return compare(a, b) == 0 }), nil
		}
		k.url = next
	}
	return nil, l.c.wrong("%s has more than %d pages", l.call.url.Path, maxPages)
}

func self(s string) string { return s }

// Repositories implements oci.Lister.
func (c *Client) Repositories(ctx context.Context, p oci.Page) ([]string, bool, error) {
	return listing[string]{
		c: c, key: self,
		call: call{method: http.MethodGet, url: c.at("/v2/_catalog", nil), scopes: []string{"registry:catalog:*"}},
		read: func(resp *http.Response) ([]string, error) {
			var body struct {
				Repositories []string `json:"repositories"`
			}
			err := c.decode(resp, &body)
			return body.Repositories, err
		},
	}.page(ctx, p)
}

// Tags implements oci.Lister.
func (c *Client) Tags(ctx context.Context, repo string, p oci.Page) ([]string, bool, error) {
	if err := oci.CheckName(repo); err != nil {
		return nil, false, err
	}
	return listing[string]{
		c: c, key: self,
		call: call{
			method: http.MethodGet, url: c.at("/v2/"+repo+"/tags/list", nil),
			scopes: repoScopes(repo, "metadata_read", "pull"), missing: fault.NameUnknown,
		},
		read: func(resp *http.Response) ([]string, error) {
			var body struct {
				Tags []string `json:"tags"`
			}
			err := c.decode(resp, &body)
			return body.Tags, err
		},
	}.page(ctx, p)
}

// Referrers implements oci.Lister. Where the far side has no referrers API, its referrers tag is read.
func (c *Client) Referrers(ctx context.Context, repo string, d oci.Digest, artifactType string, p oci.Page) (*oci.Referrers, error) {
	if err := checkBlob(repo, d); err != nil {
		return nil, err
	}
	query := url.Values{}
	if artifactType != "" {
		query.Set("artifactType", artifactType)
	}
	l := listing[oci.Descriptor]{
		c: c, key: func(d oci.Descriptor) string { return string(d.Digest) },
		call: call{
			method: http.MethodGet, url: c.at("/v2/"+repo+"/referrers/"+string(d), query),
			scopes: repoScopes(repo, "pull"), missing: fault.NameUnknown,
		},
		read: func(resp *http.Response) ([]oci.Descriptor, error) {
			var body struct {
				Manifests []oci.Descriptor `json:"manifests"`
			}
			err := c.decode(resp, &body)
			return ofType(body.Manifests, artifactType), err
		},
	}
	list, more, err := l.page(ctx, p)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return c.taggedReferrers(ctx, repo, d, artifactType, p)
	}
	if err != nil {
		return nil, err
	}
	return &oci.Referrers{Manifests: list, More: more}, nil
}

// ofType filters what a registry may have filtered already.
func ofType(list []oci.Descriptor, artifactType string) []oci.Descriptor {
	return slices.DeleteFunc(list, func(d oci.Descriptor) bool { return artifactType != "" && d.ArtifactType != artifactType })
}

// taggedReferrers reads the index under the referrers tag (distribution-spec "Referrers Tag Schema").
func (c *Client) taggedReferrers(ctx context.Context, repo string, d oci.Digest, artifactType string, p oci.Page) (*oci.Referrers, error) {
	_, body, err := c.Manifest(ctx, repo, oci.Ref{Tag: oci.FallbackTag(d)})
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return &oci.Referrers{}, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := oci.ParseManifest(oci.TypeIndex, body)
	if err != nil {
		return nil, c.wrong("the referrers tag of %s in %s: %w", d, repo, err)
	}
	list := ofType(m.Manifests, artifactType)
	slices.SortFunc(list, func(a, b oci.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	list = slices.DeleteFunc(list, func(d oci.Descriptor) bool { return string(d.Digest) <= p.After })
	n := max(0, min(p.Limit, len(list)))
	return &oci.Referrers{Manifests: list[:n], More: n > 0 && n < len(list)}, nil
}

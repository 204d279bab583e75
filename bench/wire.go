package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Headers that calls share; nobody changes them.
var (
	asBytes    = http.Header{"Content-Type": {"application/octet-stream"}}
	asManifest = http.Header{"Content-Type": {typeManifest}}
	anyKind    = http.Header{"Accept": {"application/vnd.oci.image.index.v1+json, " + typeManifest +
		", application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"}}
)

func (c *client) ping(ctx context.Context) error {
	_, _, err := c.call1(ctx, call{method: http.MethodGet, to: c.at("/v2/", "")}, http.StatusOK)
	return err
}

func (c *client) manifestCall(method, repo, ref string) call {
	return call{method: method, to: c.at("/v2/"+repo+"/manifests/"+ref, ""), scope: scope{repo: repo}, header: anyKind}
}

// manifest reads one and counts its bytes.
func (c *client) manifest(ctx context.Context, method, repo, ref string, code int) (int64, error) {
	_, n, err := c.call1(ctx, c.manifestCall(method, repo, ref), code)
	return n, err
}

func (c *client) putManifest(ctx context.Context, repo, ref string, body []byte) error {
	b := blob{own: body}
	_, _, err := c.call1(ctx, call{
		method: http.MethodPut, to: c.at("/v2/"+repo+"/manifests/"+ref, ""), scope: scope{repo: repo},
		header: asManifest, content: b.whole, size: b.size(),
	}, http.StatusCreated)
	return err
}

// deleteManifest wants 202, and takes the 200 and 204 of those who read the specification freely.
func (c *client) deleteManifest(ctx context.Context, repo, digest string) error {
	_, _, err := c.call1(ctx, c.manifestCall(http.MethodDelete, repo, digest), http.StatusAccepted, http.StatusOK, http.StatusNoContent)
	return err
}

func (c *client) blobCall(method, repo, digest string) call {
	return call{method: method, to: c.at("/v2/"+repo+"/blobs/"+digest, ""), scope: scope{repo: repo}}
}

// getBlob reads a whole blob and wants its size.
func (c *client) getBlob(ctx context.Context, repo string, b blob) (int64, error) {
	_, n, err := c.call1(ctx, c.blobCall(http.MethodGet, repo, b.digest), http.StatusOK)
	if err == nil && n != b.size() {
		err = fmt.Errorf("blob %s: %d bytes came, not %d", b.digest, n, b.size())
	}
	return n, err
}

func (c *client) getRange(ctx context.Context, repo, digest string, off, size int64) (int64, error) {
	k := c.blobCall(http.MethodGet, repo, digest)
	k.header = http.Header{"Range": {"bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+size-1, 10)}}
	_, n, err := c.call1(ctx, k, http.StatusPartialContent)
	if err == nil && n != size {
		err = fmt.Errorf("blob %s: %d bytes of the range came, not %d", digest, n, size)
	}
	return n, err
}

func (c *client) headBlob(ctx context.Context, repo, digest string) (found bool, err error) {
	resp, _, err := c.call1(ctx, c.blobCall(http.MethodHead, repo, digest), http.StatusOK, http.StatusNotFound)
	return err == nil && resp.StatusCode == http.StatusOK, err
}

// fetch reads a body and wants its digest; it is for checks, outside of measured loops.
func (c *client) fetch(ctx context.Context, k call, digest string) error {
	resp, err := c.do(ctx, k)
	if err != nil {
		return err
	}
	if err := expect(k, resp, http.StatusOK); err != nil {
		return err
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil {
		return fmt.Errorf("%s: body: %w", k.to.Path, err)
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != digest {
		return fmt.Errorf("%s: content with digest %s came, not %s", k.to.Path, got, digest)
	}
	return nil
}

func (c *client) startUpload(ctx context.Context, repo string) (url.URL, error) {
	k := call{method: http.MethodPost, to: c.at("/v2/"+repo+"/blobs/uploads/", ""), scope: scope{repo: repo}}
	resp, err := c.do(ctx, k)
	if err != nil {
		return url.URL{}, err
	}
	if err := expect(k, resp, http.StatusAccepted); err != nil {
		return url.URL{}, err
	}
	return next(k.to, resp)
}

// patch appends to an upload and returns where it goes on.
func (c *client) patch(ctx context.Context, k call) (url.URL, error) {
	k.method = http.MethodPatch
	resp, err := c.do(ctx, k)
	if err != nil {
		return url.URL{}, err
	}
	if err := expect(k, resp, http.StatusAccepted); err != nil {
		return url.URL{}, err
	}
	return next(k.to, resp)
}

// finish closes an upload, with the whole content in the same request if there is some.
func (c *client) finish(ctx context.Context, k call, digest string) error {
	k.method = http.MethodPut
	q := "digest=" + url.QueryEscape(digest)
	if k.to.RawQuery != "" {
		q = k.to.RawQuery + "&" + q
	}
	k.to.RawQuery = q
	_, _, err := c.call1(ctx, k, http.StatusCreated)
	return err
}

// push is a way to upload a blob.
type push func(c *client, ctx context.Context, repo string, b blob) error

// pushWhole: POST, then one PUT with the content, as containerd and oras do.
func pushWhole(c *client, ctx context.Context, repo string, b blob) error {
	to, err := c.startUpload(ctx, repo)
	if err != nil {
		return err
	}
	return c.finish(ctx, call{to: to, scope: scope{repo: repo}, header: asBytes, content: b.whole, size: b.size()}, b.digest)
}

// pushStream: POST, one PATCH of unknown length, PUT, as docker does.
func pushStream(c *client, ctx context.Context, repo string, b blob) error {
	to, err := c.startUpload(ctx, repo)
	if err != nil {
		return err
	}
	to, err = c.patch(ctx, call{to: to, scope: scope{repo: repo}, header: asBytes, content: b.whole, size: -1})
	if err != nil {
		return err
	}
	return c.finish(ctx, call{to: to, scope: scope{repo: repo}}, b.digest)
}

// pushChunks: POST, PATCHes with Content-Range, PUT.
func pushChunks(chunk int64) push {
	return func(c *client, ctx context.Context, repo string, b blob) error {
		to, err := c.startUpload(ctx, repo)
		for off := int64(0); err == nil && off < b.size(); off += chunk {
			n := min(chunk, b.size()-off)
			to, err = c.patch(ctx, call{
				to: to, scope: scope{repo: repo}, size: n, content: func() io.Reader { return b.from(off, n) },
				header: http.Header{"Content-Type": asBytes["Content-Type"], "Content-Range": {fmt.Sprintf("%d-%d", off, off+n-1)}},
			})
		}
		if err != nil {
			return err
		}
		return c.finish(ctx, call{to: to, scope: scope{repo: repo}}, b.digest)
	}
}

var errNotMounted = errors.New("the registry opened an upload instead of mounting")

// mount wants the blob in repo without sending it.
func (c *client) mount(ctx context.Context, repo, from, digest string) error {
	q := "mount=" + url.QueryEscape(digest) + "&from=" + url.QueryEscape(from)
	k := call{method: http.MethodPost, to: c.at("/v2/"+repo+"/blobs/uploads/", q), scope: scope{repo: repo, from: from}}
	resp, _, err := c.call1(ctx, k, http.StatusCreated, http.StatusAccepted)
	if err == nil && resp.StatusCode == http.StatusAccepted {
		return errNotMounted
	}
	return err
}

// ensureBlob mounts, and pushes where mounting is not offered.
func (c *client) ensureBlob(ctx context.Context, repo, from string, b blob) error {
	err := c.mount(ctx, repo, from, b.digest)
	if errors.Is(err, errNotMounted) {
		return pushWhole(c, ctx, repo, b)
	}
	return err
}

// pushImage does what a careful client does: it asks for each blob before it sends it.
func (c *client) pushImage(ctx context.Context, im image) (int64, error) {
	var sent int64
	for _, b := range im.blobs() {
		found, err := c.headBlob(ctx, im.repo, b.digest)
		if err != nil {
			return sent, err
		}
		if found {
			continue
		}
		if err := pushWhole(c, ctx, im.repo, b); err != nil {
			return sent, err
		}
		sent += b.size()
	}
	return sent, c.putManifest(ctx, im.repo, im.tag, im.manifest)
}

func (c *client) pullImage(ctx context.Context, im image) (int64, error) {
	n, err := c.manifest(ctx, http.MethodGet, im.repo, im.tag, http.StatusOK)
	for _, b := range im.blobs() {
		if err != nil {
			break
		}
		var m int64
		m, err = c.getBlob(ctx, im.repo, b)
		n += m
	}
	return n, err
}

// walk reads a list page by page to its end. See takes each body; nil drains it unread.
func (c *client) walk(ctx context.Context, path, query, repo string, see func(io.Reader) error) (pages int, size int64, err error) {
	k := call{method: http.MethodGet, to: c.at(path, query), scope: scope{repo: repo}}
	for {
		resp, err := c.do(ctx, k)
		if err != nil {
			return pages, size, err
		}
		if err := expect(k, resp, http.StatusOK); err != nil {
			return pages, size, err
		}
		if see != nil {
			if err := see(resp.Body); err != nil {
				resp.Body.Close()
				return pages, size, fmt.Errorf("%s: page %d: %w", path, pages+1, err)
			}
		}
		n, err := drain(resp)
		if err != nil {
			return pages, size, fmt.Errorf("%s: page %d: %w", path, pages+1, err)
		}
		pages, size = pages+1, size+n
		l := linkNext(resp.Header)
		if l == "" {
			return pages, size, nil
		}
		to, err := k.to.Parse(l)
		if err != nil {
			return pages, size, fmt.Errorf("%s: Link of page %d: %w", path, pages, err)
		}
		k.to = *to
	}
}

// names walks a list of strings and returns the distinct ones.
func (c *client) names(ctx context.Context, path, query, repo, field string) (map[string]bool, error) {
	all := map[string]bool{}
	_, _, err := c.walk(ctx, path, query, repo, func(r io.Reader) error {
		var page map[string]json.RawMessage
		var l []string
		if err := json.NewDecoder(r).Decode(&page); err != nil {
			return err
		}
		if err := json.Unmarshal(page[field], &l); err != nil {
			return fmt.Errorf("%q: %w", field, err)
		}
		for _, s := range l {
			all[s] = true
		}
		return nil
	})
	return all, err
}

// countReferrers walks the referrers of a subject and returns the number of distinct ones.
func (c *client) countReferrers(ctx context.Context, repo, subject string) (int, error) {
	all := map[string]bool{}
	_, _, err := c.walk(ctx, "/v2/"+repo+"/referrers/"+subject, "", repo, func(r io.Reader) error {
		var page struct{ Manifests []descriptor }
		if err := json.NewDecoder(r).Decode(&page); err != nil {
			return err
		}
		for _, d := range page.Manifests {
			all[d.Digest] = true
		}
		return nil
	})
	return len(all), err
}

package ociclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// upload is a blob on its way in. Its id is the address that the registry gave, without what the repository's name
// says already: registries other than ACR keep state in it.
type upload struct {
	c    *Client
	ctx  context.Context // of StartUpload or ResumeUpload, for ReadFrom
	repo string
	at   *url.URL
	size int64
}

// StartUpload implements oci.Writer. ctx also bounds the upload's ReadFrom.
func (c *Client) StartUpload(ctx context.Context, repo string) (oci.Upload, error) {
	if err := oci.CheckName(repo); err != nil {
		return nil, err
	}
	up, err := c.start(ctx, repo)
	if err != nil {
		return nil, err
	}
	return up, nil
}

func (c *Client) start(ctx context.Context, repo string) (*upload, error) {
	resp, err := c.begin(ctx, repo, nil, repoScopes(repo, "pull", "push"), http.StatusAccepted)
	if err != nil {
		return nil, err
	}
	return c.uploadAt(ctx, repo, resp)
}

// ResumeUpload implements oci.Writer. ctx also bounds the upload's ReadFrom. A far registry says of one byte what it
// says of none; it is read as none, and Commit then finds the digest wrong.
func (c *Client) ResumeUpload(ctx context.Context, repo, id string) (oci.Upload, error) {
	if err := oci.CheckName(repo); err != nil {
		return nil, err
	}
	at, err := c.uploadURL(repo, id)
	if err != nil {
		return nil, err
	}
	up := &upload{c: c, ctx: ctx, repo: repo, at: at}
	if err := up.sync(ctx); err != nil {
		return nil, err
	}
	return up, nil
}

// uploadURL is the address of an id.
func (c *Client) uploadURL(repo, id string) (*url.URL, error) {
	unknown := fault.New(fault.UploadUnknown, "upload %.100q of repository %s is not known: begin again", id, repo)
	if strings.HasPrefix(id, "https://") || strings.HasPrefix(id, "http://") && c.base.Scheme == "http" {
		if u, err := url.Parse(id); err == nil {
			return u, nil
		}
		return nil, unknown
	}
	name, query, _ := strings.Cut(id, "?")
	if name == "" || strings.Trim(name, ".") == "" || url.PathEscape(name) != name {
		return nil, unknown
	}
	u := c.at("/v2/"+repo+"/blobs/uploads/"+name, nil)
	u.RawQuery = query
	return u, nil
}

// uploadAt is the upload that an answer's Location names.
func (c *Client) uploadAt(ctx context.Context, repo string, resp *http.Response) (*upload, error) {
	up := &upload{c: c, ctx: ctx, repo: repo}
	if err := up.move(resp, true); err != nil {
		return nil, err
	}
	return up, nil
}

// move follows an answer's Location, which may change with each.
func (u *upload) move(resp *http.Response, must bool) error {
	if resp.Header.Get("Location") == "" && !must {
		return nil
	}
	at, err := resp.Location()
	if err != nil {
		return u.c.wrong("an upload to %s has no usable Location: %w", u.repo, err)
	}
	if at.Scheme != "https" && at.Scheme != u.c.base.Scheme {
		return u.c.wrong("an upload to %s was sent on to %.200q, away from TLS", u.repo, at.Redacted())
	}
	u.at = at
	return nil
}

func (u *upload) call(method string, body *source) call {
	return call{method: method, url: u.at, body: body, scopes: repoScopes(u.repo, "pull", "push"), missing: fault.UploadUnknown}
}

// sync asks how far the upload is.
func (u *upload) sync(ctx context.Context) error {
	resp, err := u.c.finish(ctx, u.call(http.MethodGet, nil), http.StatusNoContent, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	last, err := rangeEnd(resp)
	if err != nil {
		return u.c.wrong("the state of an upload to %s: %w", u.repo, err)
	}
	if u.size = last + 1; last == 0 {
		u.size = 0
	}
	return u.move(resp, false)
}

// rangeEnd is the offset of the last byte taken; 0 also where there is none.
func rangeEnd(resp *http.Response) (int64, error) {
	var first, last int64
	v := strings.TrimPrefix(resp.Header.Get("Range"), "bytes=")
	if _, err := fmt.Sscanf(v, "%d-%d", &first, &last); err != nil || first != 0 || last < 0 {
		return 0, fmt.Errorf("Range %.50q is not 0-<offset>", v)
	}
	return last, nil
}

func (u *upload) ID() string {
	rest, ok := strings.CutPrefix(u.at.EscapedPath(), "/v2/"+u.repo+"/blobs/uploads/")
	if !ok || u.at.Host != u.c.base.Host || strings.Contains(rest, "/") {
		return u.at.String()
	}
	if u.at.RawQuery != "" {
		rest += "?" + u.at.RawQuery
	}
	return rest
}

func (u *upload) Size() int64 { return u.size }

// ReadFrom sends one PATCH. Of known length it says where the bytes belong, so that a repetition cannot double them.
func (u *upload) ReadFrom(r io.Reader) (int64, error) {
	body, err := open(r, true)
	if err != nil {
		return 0, err
	}
	if body.size == 0 {
		return 0, body.lost()
	}
	before := u.size
	k := u.call(http.MethodPatch, body)
	k.header = octets()
	if body.size > 0 {
		k.header.Set("Content-Range", fmt.Sprintf("%d-%d", before, before+body.size-1))
	}
	if err := u.patch(k); err != nil {
		ctx, cancel := lastly(u.ctx)
		defer cancel()
		if u.sync(ctx) == nil && body.size > 0 && u.size == before+body.size {
			return body.size, body.lost() // taken; it was the answer that got lost
		}
		return max(0, u.size-before), err
	}
	return u.size - before, body.lost()
}

func (u *upload) patch(k call) error {
	resp, err := u.c.finish(u.ctx, k, http.StatusAccepted, http.StatusNoContent)
	if err != nil {
		return err
	}
	if err := u.move(resp, true); err != nil {
		return err
	}
	last, err := rangeEnd(resp)
	if err != nil {
		return u.c.wrong("a piece of an upload to %s: %w", u.repo, err)
	}
	if want := u.size + k.body.taken(); last != want-1 {
		return u.c.wrong("an upload to %s has %d bytes after a piece that makes it %d", u.repo, last+1, want)
	}
	u.size = last + 1
	return nil
}

// Commit implements oci.Upload.
func (u *upload) Commit(ctx context.Context, d oci.Digest) (oci.Descriptor, error) {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return oci.Descriptor{}, err
	}
	err := u.close(ctx, d, fixed(nil))
	if errors.Is(err, fault.DigestInvalid) {
		u.drop(ctx) // some registries keep it
	}
	if err != nil {
		return oci.Descriptor{}, err
	}
	return oci.Descriptor{MediaType: oci.TypeOctets, Digest: d, Size: u.size}, nil
}

// close sends the last bytes with the digest.
func (u *upload) close(ctx context.Context, d oci.Digest, body *source) error {
	k := u.call(http.MethodPut, body)
	k.header = octets()
	at := *u.at
	query := at.Query()
	query.Set("digest", string(d))
	at.RawQuery = query.Encode()
	k.url = &at
	resp, err := u.c.finish(ctx, k, http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return err
	}
	if got := storedAs(resp, d); got != d {
		return u.c.wrong("blob %s was stored as %.150q", d, got)
	}
	return nil
}

// Close implements oci.Upload: what a PATCH was answered for is with the registry already.
func (u *upload) Close(context.Context) error { return nil }

// Abort implements oci.Upload.
func (u *upload) Abort(ctx context.Context) error {
	_, err := u.c.finish(ctx, u.call(http.MethodDelete, nil), http.StatusNoContent, http.StatusAccepted, http.StatusOK, http.StatusNotFound)
	return err
}

// drop aborts as far as possible; a registry sweeps what stays behind.
func (u *upload) drop(ctx context.Context) {
	ctx, cancel := lastly(ctx)
	defer cancel()
	_ = u.Abort(ctx) // the failure that led here is the one to tell
}

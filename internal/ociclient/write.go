package ociclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// octets is the type of bytes that are sent to an upload.
func octets() http.Header { return http.Header{"Content-Type": {oci.TypeOctets}} }

// begin opens an upload, or mounts: the answer has one of the statuses.
func (c *Client) begin(ctx context.Context, repo string, query url.Values, scopes []string, statuses ...int) (*http.Response, error) {
	return c.finish(ctx, call{
		method: http.MethodPost, url: c.at("/v2/"+repo+"/blobs/uploads/", query), body: fixed(nil),
		scopes: scopes, missing: fault.NameUnknown,
	}, statuses...)
}

// PushBlob implements oci.Writer: an upload in one piece.
func (c *Client) PushBlob(ctx context.Context, repo string, d oci.Digest, r io.Reader) (oci.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return oci.Descriptor{}, err
	}
	body, err := open(r, false)
	if err != nil {
		return oci.Descriptor{}, err
	}
	up, err := c.start(ctx, repo)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if err := up.close(ctx, d, body); err != nil {
		up.drop(ctx)
		return oci.Descriptor{}, err
	}
	return oci.Descriptor{MediaType: oci.TypeOctets, Digest: d, Size: body.taken()}, nil
}

// MountBlob implements oci.Writer.
func (c *Client) MountBlob(ctx context.Context, repo, from string, d oci.Digest) (oci.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return oci.Descriptor{}, err
	}
	query, scopes := url.Values{"mount": {string(d)}}, repoScopes(repo, "pull", "push")
	if from != "" {
		if err := oci.CheckName(from); err != nil {
			return oci.Descriptor{}, err
		}
		query.Set("from", from)
		scopes = append(scopes, repoScopes(from, "pull")...)
	} else {
		scopes = append(scopes, repoScopes("*", "pull")...) // any that the account can read; ACR knows this form
	}
	resp, err := c.begin(ctx, repo, query, scopes, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if resp.StatusCode == http.StatusCreated {
		return c.StatBlob(ctx, repo, d)
	}
	if up, err := c.uploadAt(ctx, repo, resp); err == nil {
		up.drop(ctx)
	}
	if from == "" {
		return oci.Descriptor{}, fault.New(fault.BlobUnknown, "blob %s is in no repository of %s that can be read: push it", d, c.base.Host)
	}
	return oci.Descriptor{}, fault.New(fault.BlobUnknown, "blob %s is not in repository %s of %s, or cannot be read there: push it", d, from, c.base.Host)
}

// PutManifest implements oci.Writer.
func (c *Client) PutManifest(ctx context.Context, repo string, ref oci.Ref, mediaType string, body []byte) (oci.Descriptor, error) {
	if err := checkRef(repo, ref); err != nil {
		return oci.Descriptor{}, err
	}
	k := c.manifestCall(http.MethodPut, repo, ref, "pull", "push")
	k.header, k.body = http.Header{"Content-Type": {mediaType}}, fixed(body)
	resp, err := c.finish(ctx, k, http.StatusCreated)
	if err != nil {
		return oci.Descriptor{}, err
	}
	d := ref.Digest
	if d == "" {
		d = digest.FromBytes(body)
	}
	if got := storedAs(resp, d); got != d {
		return oci.Descriptor{}, c.wrong("manifest %s was stored as %.150q", d, got)
	}
	return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}, nil
}

// storedAs is the digest that an answer gives to content of the digest d. One of another algorithm says nothing:
// distribution answers sha256 whatever it was given.
func storedAs(resp *http.Response, d oci.Digest) oci.Digest {
	got := oci.Digest(resp.Header.Get("Docker-Content-Digest"))
	if alg, _, _ := strings.Cut(string(got), ":"); alg != d.Algorithm().String() {
		return d
	}
	return got
}

// DeleteManifest implements oci.Deleter.
func (c *Client) DeleteManifest(ctx context.Context, repo string, d oci.Digest) error {
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	return c.remove(ctx, c.manifestCall(http.MethodDelete, repo, oci.Ref{Digest: d}, "delete"))
}

// DeleteTag implements oci.Deleter.
func (c *Client) DeleteTag(ctx context.Context, repo, tag string) error {
	if err := checkRef(repo, oci.Ref{Tag: tag}); err != nil {
		return err
	}
	return c.remove(ctx, c.manifestCall(http.MethodDelete, repo, oci.Ref{Tag: tag}, "delete"))
}

// DeleteBlob implements oci.Deleter.
func (c *Client) DeleteBlob(ctx context.Context, repo string, d oci.Digest) error {
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	return c.remove(ctx, c.blobCall(http.MethodDelete, repo, d, "delete"))
}

func (c *Client) remove(ctx context.Context, k call) error {
	_, err := c.finish(ctx, k, http.StatusAccepted, http.StatusOK, http.StatusNoContent)
	return err
}

// DeleteRepository implements oci.Deleter by ACR's own call, which other registries lack: Unsupported there.
func (c *Client) DeleteRepository(ctx context.Context, repo string) (oci.Deleted, error) {
	if err := oci.CheckName(repo); err != nil {
		return oci.Deleted{}, err
	}
	resp, err := c.do(ctx, call{
		method: http.MethodDelete, url: c.at("/acr/v1/"+repo, nil), scopes: repoScopes(repo, "delete", "metadata_read"),
	}, http.StatusAccepted, http.StatusOK)
	if errors.Is(err, fault.NotFound) && !errors.Is(err, fault.NameUnknown) {
		return oci.Deleted{}, fault.New(fault.Unsupported, "%s cannot delete a repository at once: delete its manifests", c.base.Host)
	}
	if err != nil {
		return oci.Deleted{}, err
	}
	var gone struct {
		Manifests []oci.Digest `json:"manifestsDeleted"`
		Tags      []string     `json:"tagsDeleted"`
	}
	if err := c.decode(resp, &gone); err != nil {
		return oci.Deleted{}, err
	}
	slices.Sort(gone.Tags)
	return oci.Deleted{Manifests: gone.Manifests, Tags: gone.Tags}, nil
}

// lastly is a context for what must still be tried when ctx may be done.
func lastly(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}

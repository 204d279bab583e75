package ociclient

import (
	"context"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// accepted are the manifest types a registry is asked for; */* for those that hand out what they have.
var accepted = http.Header{"Accept": {strings.Join([]string{
	oci.TypeImage, oci.TypeIndex, oci.TypeDockerManifest, oci.TypeDockerList, oci.TypeArtifact, oci.TypeORASArtifact, "*/*",
}, ", ")}}

func checkRef(repo string, ref oci.Ref) error {
	if err := oci.CheckName(repo); err != nil {
		return err
	}
	if ref.Digest != "" {
		_, err := oci.ParseDigest(string(ref.Digest))
		return err
	}
	return oci.CheckTag(ref.Tag)
}

func checkBlob(repo string, d oci.Digest) error { return checkRef(repo, oci.Ref{Digest: orBad(d)}) }

// orBad keeps an empty digest from being taken for a tag.
func orBad(d oci.Digest) oci.Digest {
	if d == "" {
		return ":"
	}
	return d
}

func (c *Client) manifestCall(method, repo string, ref oci.Ref, actions ...string) call {
	return call{
		method: method, url: c.at("/v2/"+repo+"/manifests/"+ref.String(), nil), header: accepted,
		scopes: repoScopes(repo, actions...), missing: fault.ManifestUnknown,
	}
}

func (c *Client) blobCall(method, repo string, d oci.Digest, actions ...string) call {
	return call{
		method: method, url: c.at("/v2/"+repo+"/blobs/"+string(d), nil),
		scopes: repoScopes(repo, actions...), missing: fault.BlobUnknown,
	}
}

// Resolve implements oci.Reader. A registry whose HEAD tells too little is asked for the manifest itself.
func (c *Client) Resolve(ctx context.Context, repo string, ref oci.Ref) (oci.Descriptor, error) {
	if err := checkRef(repo, ref); err != nil {
		return oci.Descriptor{}, err
	}
	resp, err := c.finish(ctx, c.manifestCall(http.MethodHead, repo, ref, "pull"), http.StatusOK)
	if err != nil {
		return oci.Descriptor{}, err
	}
	d := oci.Digest(resp.Header.Get("Docker-Content-Digest"))
	if d == "" {
		d = ref.Digest
	}
	if d == "" || resp.ContentLength < 0 {
		desc, _, err := c.Manifest(ctx, repo, ref)
		return desc, err
	}
	if _, err := oci.ParseDigest(string(d)); err != nil || ref.Digest != "" && d != ref.Digest {
		return oci.Descriptor{}, c.wrong("%s:%s has the digest %.100q", repo, ref, d)
	}
	return oci.Descriptor{MediaType: mediaType(resp), Digest: d, Size: resp.ContentLength}, nil
}

// Manifest implements oci.Reader. The bytes have the digest asked for, or the one that the registry claims.
func (c *Client) Manifest(ctx context.Context, repo string, ref oci.Ref) (oci.Descriptor, []byte, error) {
	if err := checkRef(repo, ref); err != nil {
		return oci.Descriptor{}, nil, err
	}
	resp, err := c.do(ctx, c.manifestCall(http.MethodGet, repo, ref, "pull"), http.StatusOK)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, oci.MaxManifest+1))
	if err != nil {
		return oci.Descriptor{}, nil, c.cut(err)
	}
	if len(body) > oci.MaxManifest {
		return oci.Descriptor{}, nil, fault.New(fault.ManifestTooLarge, "manifest %s:%s of %s has more than %d bytes", repo, ref, c.base.Host, oci.MaxManifest)
	}
	want := ref.Digest
	if want == "" {
		want = oci.Digest(resp.Header.Get("Docker-Content-Digest"))
	}
	if want == "" {
		want = digest.FromBytes(body)
	}
	d, err := oci.ParseDigest(string(want))
	if err != nil || d.Algorithm().FromBytes(body) != d {
		return oci.Descriptor{}, nil, c.wrong("the %d bytes of manifest %s:%s do not have the digest %.150q", len(body), repo, ref, want)
	}
	return oci.Descriptor{MediaType: mediaType(resp), Digest: d, Size: int64(len(body))}, body, nil
}

// mediaType is the answer's Content-Type without parameters.
func mediaType(resp *http.Response) string {
	v := resp.Header.Get("Content-Type")
	if t, _, err := mime.ParseMediaType(v); err == nil {
		return t
	}
	return v
}

// StatBlob implements oci.Reader.
func (c *Client) StatBlob(ctx context.Context, repo string, d oci.Digest) (oci.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return oci.Descriptor{}, err
	}
	resp, err := c.finish(ctx, c.blobCall(http.MethodHead, repo, d, "pull"), http.StatusOK)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if resp.ContentLength < 0 {
		return oci.Descriptor{}, c.wrong("HEAD of blob %s in %s has no Content-Length", d, repo)
	}
	return oci.Descriptor{MediaType: oci.TypeOctets, Digest: d, Size: resp.ContentLength}, nil
}

// OpenBlob implements oci.Reader. A blob read whole fails at its end with Upstream if its bytes are not d.
func (c *Client) OpenBlob(ctx context.Context, repo string, d oci.Digest, off, n int64) (io.ReadCloser, error) {
	if err := checkBlob(repo, d); err != nil {
		return nil, err
	}
	k := c.blobCall(http.MethodGet, repo, d, "pull")
	switch {
	case off < 0 || n >= 0 && off+n < off:
		return nil, outside(d, off, n)
	case n == 0:
		return c.openNothing(ctx, repo, d, off)
	case off == 0 && n < 0:
		resp, err := c.do(ctx, k, http.StatusOK)
		if err != nil {
			return nil, err
		}
		return &verifying{c: c, body: resp.Body, hash: oci.NewHash(d.Algorithm()), want: d}, nil
	case n < 0:
		k.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-", off)}}
	default:
		k.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", off, off+n-1)}}
	}
	resp, err := c.do(ctx, k, http.StatusPartialContent, http.StatusOK, http.StatusRequestedRangeNotSatisfiable)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		drain(resp.Body)
		if n < 0 {
			return c.openNothing(ctx, repo, d, off) // HTTP has no range at the very end
		}
		return nil, outside(d, off, n)
	}
	r, err := c.part(resp, d, off, n)
	if err != nil {
		resp.Body.Close()
	}
	return r, err
}

// openNothing is an empty range, if off lies within the blob.
func (c *Client) openNothing(ctx context.Context, repo string, d oci.Digest, off int64) (io.ReadCloser, error) {
	desc, err := c.StatBlob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	if off > desc.Size {
		return nil, outside(d, off, 0)
	}
	return http.NoBody, nil
}

func outside(d oci.Digest, off, n int64) error {
	return fault.New(fault.RangeInvalid, "blob %s has no %d bytes from %d on; n < 0 reads to the end", d, n, off)
}

// NoRange is an answer to a range that is not that range (RFC 9110, section 14).
var NoRange = fault.Code{Kind: fault.Upstream, Name: "RANGE_IGNORED"}

// part is the range out of an answer: a range as asked, one clipped by the blob's end, or the whole blob from a
// server that knows no ranges.
func (c *Client) part(resp *http.Response, d oci.Digest, off, n int64) (io.ReadCloser, error) {
	total, skip := resp.ContentLength, off
	if c.ranges && off > 0 && resp.StatusCode != http.StatusPartialContent {
		return nil, fault.New(NoRange, "%s answers a request for blob %s from byte %d on with all of it", c.base.Host, d, off)
	}
	if resp.StatusCode == http.StatusPartialContent {
		var first, last int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/", &first, &last); err != nil || first != off {
			return nil, fault.New(NoRange, "%s answers a request for blob %s from byte %d on with the Content-Range %.100q", c.base.Host, d, off, resp.Header.Get("Content-Range"))
		}
		total, skip = last+1, 0
		if _, size, _ := strings.Cut(resp.Header.Get("Content-Range"), "/"); size != "*" {
			if v, err := strconv.ParseInt(size, 10, 64); err == nil {
				total = v
			}
		}
	}
	if total < 0 {
		return nil, c.wrong("blob %s comes without Content-Length and without ranges", d)
	}
	if off > total || n >= 0 && off+n > total {
		return nil, outside(d, off, n)
	}
	if n < 0 {
		n = total - off
	}
	return &section{c: c, body: resp.Body, skip: skip, left: n}, nil
}

// section is n bytes of a body after skip of them.
type section struct {
	c          *Client
	body       io.ReadCloser
	skip, left int64
}

func (s *section) Read(p []byte) (int, error) {
	if s.skip > 0 {
		m, err := io.CopyN(io.Discard, s.body, s.skip)
		if s.skip -= m; err != nil {
			return 0, s.c.cut(early(err))
		}
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.body.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	switch {
	case s.left == 0:
		return n, nil
	case err != nil:
		return n, s.c.cut(early(err))
	}
	return n, nil
}

func (s *section) Close() error { return s.body.Close() }

func early(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// cut is a body that broke off.
func (c *Client) cut(err error) error {
	return fault.New(fault.Unavailable, "the answer of %s broke off; try again: %w", c.base.Host, err)
}

// verifying is a body that must have the digest want.
type verifying struct {
	c    *Client
	body io.ReadCloser
	hash hash.Hash
	want oci.Digest
}

func (v *verifying) Read(p []byte) (int, error) {
	n, err := v.body.Read(p)
	v.hash.Write(p[:n])
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		return n, v.c.cut(err)
	case oci.SumDigest(v.want.Algorithm(), v.hash) != v.want:
		return n, v.c.wrong("the bytes of blob %s have another digest", v.want)
	}
	return n, io.EOF
}

func (v *verifying) Close() error { return v.body.Close() }

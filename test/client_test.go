package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// client speaks the distribution protocol in its plainest form: one request a call, Basic
// credentials, no retry, so that an acknowledgement is exactly one answer of the server.
type client struct {
	base     string // scheme and host as in URLs and in the Host header
	user     string // empty: anonymous, no Authorization header
	password string
	http     *http.Client
	deaf     *atomic.Bool // once set, answers do not arrive any more; nil: never
}

// client returns a client of the target.
func (to target) client(t testing.TB) *client {
	t.Helper()
	return to.as(t, to.Host)
}

// as returns a client that calls the target by another host name, as a resolver entry would have it.
func (to target) as(t testing.TB, host string) *client {
	t.Helper()
	transport := &http.Transport{
		MaxIdleConnsPerHost: 128,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, to.Host)
		},
	}
	if to.CA != "" {
		pem, err := os.ReadFile(to.CA)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			t.Fatalf("%s holds no certificate", to.CA)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	t.Cleanup(transport.CloseIdleConnections)
	named := to
	named.Host = host
	return &client{
		base: named.URL(), user: to.User, password: to.Password,
		http: &http.Client{
			Transport:     transport,
			Timeout:       2 * time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// anonymous returns the client without credentials.
func (c *client) anonymous() *client {
	a := *c
	a.user = ""
	return &a
}

// answer is a response that has been read.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// want returns a *refusedError unless the answer has the status.
func (a answer) want(status int) error {
	if a.Status != status {
		return &refusedError{a, status}
	}
	return nil
}

// refusedError is an answer other than the one wanted, as opposed to none.
type refusedError struct {
	answer
	wanted int
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("answered %d, want %d: %q", e.Status, e.wanted, bytes.TrimSpace(e.Body[:min(len(e.Body), 1000)]))
}

// code returns the first error code of the envelope, or "".
func (a answer) code() string {
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(a.Body, &e) != nil || len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Code
}

// do sends a request to a path, or to a URL that the server handed out.
func (c *client) do(method, path string, header http.Header, body io.Reader) (answer, error) {
	if strings.HasPrefix(path, "/") {
		path = c.base + path
	}
	req, err := http.NewRequest(method, path, body)
	if err != nil {
		return answer{}, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if c.user != "" && req.Header.Get("Authorization") == "" {
		req.SetBasicAuth(c.user, c.password)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if c.deaf != nil && c.deaf.Load() {
		return answer{}, errors.New("the answer did not arrive")
	}
	return answer{res.StatusCode, res.Header, b}, err
}

// get is do for reading; it accepts what clients of images accept.
func (c *client) get(path string) (answer, error) {
	return c.do(http.MethodGet, path, http.Header{"Accept": {strings.Join(manifestTypes, ", ") + ", */*"}}, nil)
}

// must is get for tests that expect an answer with a certain status.
func (c *client) must(t testing.TB, status int, method, path string, header http.Header, body []byte) answer {
	t.Helper()
	a, err := c.do(method, path, header, bytes.NewReader(body))
	if err == nil {
		err = a.want(status)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// startUpload opens an upload and returns where it goes on.
func (c *client) startUpload(repo string) (string, error) {
	a, err := c.do(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil, nil)
	if err == nil {
		err = a.want(http.StatusAccepted)
	}
	if err != nil {
		return "", fmt.Errorf("start upload: %w", err)
	}
	return a.Header.Get("Location"), nil
}

// closing adds the digest to an upload's location.
func closing(location string, d digest.Digest) string {
	sep := "?"
	if strings.Contains(location, "?") {
		sep = "&"
	}
	return location + sep + "digest=" + url.QueryEscape(d.String())
}

// pushBlob pushes a blob as POST and PUT; nil means the server acknowledged it.
func (c *client) pushBlob(repo string, data []byte) (digest.Digest, error) {
	d := digest.FromBytes(data)
	location, err := c.startUpload(repo)
	if err != nil {
		return d, err
	}
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	a, err := c.do(http.MethodPut, closing(location, d), header, bytes.NewReader(data))
	if err == nil {
		err = a.want(http.StatusCreated)
	}
	if err != nil {
		return d, fmt.Errorf("push blob %s: %w", d, err)
	}
	return d, nil
}

// offset asks how many bytes of an upload the server has.
func (c *client) offset(location string) (int, string, error) {
	a, err := c.get(location)
	if err == nil {
		err = a.want(http.StatusNoContent)
	}
	if err != nil {
		return 0, "", fmt.Errorf("upload status: %w", err)
	}
	var last int
	if _, err := fmt.Sscanf(a.Header.Get("Range"), "0-%d", &last); err != nil {
		return 0, "", fmt.Errorf("upload status: Range %q: %w", a.Header.Get("Range"), err)
	}
	if last > 0 {
		last++ // 0-0 is what an empty upload says
	}
	return last, a.Header.Get("Location"), nil
}

// patch sends the part of an upload that begins at an offset and returns where the upload goes on.
func (c *client) patch(location string, at int, part []byte) (string, error) {
	header := http.Header{
		"Content-Range": {fmt.Sprintf("%d-%d", at, at+len(part)-1)},
		"Content-Type":  {"application/octet-stream"},
	}
	a, err := c.do(http.MethodPatch, location, header, bytes.NewReader(part))
	if err == nil {
		err = a.want(http.StatusAccepted)
	}
	if err != nil {
		return "", fmt.Errorf("patch at %d: %w", at, err)
	}
	return a.Header.Get("Location"), nil
}

// finishUpload goes on with an upload of data where the server says it stands, and closes it.
func (c *client) finishUpload(location string, data []byte) error {
	at, location, err := c.offset(location)
	if err != nil {
		return err
	}
	if at < len(data) {
		if location, err = c.patch(location, at, data[at:]); err != nil {
			return err
		}
	}
	a, err := c.do(http.MethodPut, closing(location, digest.FromBytes(data)), nil, nil)
	if err == nil {
		err = a.want(http.StatusCreated)
	}
	return err
}

// pushManifest puts a manifest under a tag or its digest.
func (c *client) pushManifest(repo, ref, mediaType string, body []byte) (digest.Digest, error) {
	header := http.Header{"Content-Type": {mediaType}}
	a, err := c.do(http.MethodPut, "/v2/"+repo+"/manifests/"+ref, header, bytes.NewReader(body))
	if err == nil {
		err = a.want(http.StatusCreated)
	}
	if err != nil {
		return "", fmt.Errorf("push manifest %s:%s: %w", repo, ref, err)
	}
	return digest.Digest(a.Header.Get("Docker-Content-Digest")), nil
}

// pushImage pushes a config, layers and the manifest that names them, tagged.
func (c *client) pushImage(repo, tag string, layers ...[]byte) (ocispec.Manifest, []byte, error) {
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	m.SchemaVersion = 2
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	m.Config = ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config)),
	}
	for i, data := range append([][]byte{config}, layers...) {
		d, err := c.pushBlob(repo, data)
		if err != nil {
			return m, nil, err
		}
		if i > 0 {
			m.Layers = append(m.Layers, ocispec.Descriptor{
				MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: int64(len(data)),
			})
		}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return m, nil, err
	}
	_, err = c.pushManifest(repo, tag, m.MediaType, body)
	return m, body, err
}

// digest resolves a reference by HEAD.
func (c *client) digest(t testing.TB, repo, ref string) digest.Digest {
	t.Helper()
	header := http.Header{"Accept": {strings.Join(manifestTypes, ", ")}}
	a := c.must(t, http.StatusOK, http.MethodHead, "/v2/"+repo+"/manifests/"+ref, header, nil)
	d := digest.Digest(a.Header.Get("Docker-Content-Digest"))
	if err := d.Validate(); err != nil {
		t.Fatalf("HEAD %s:%s: Docker-Content-Digest %q: %v", repo, ref, d, err)
	}
	return d
}

// blob fetches a blob whole and checks it against its digest.
func (c *client) blob(repo string, d digest.Digest) ([]byte, error) {
	return c.content("/v2/"+repo+"/blobs/"+d.String(), d)
}

// manifest fetches a manifest by digest and checks it.
func (c *client) manifest(repo string, d digest.Digest) ([]byte, error) {
	return c.content("/v2/"+repo+"/manifests/"+d.String(), d)
}

func (c *client) content(path string, d digest.Digest) ([]byte, error) {
	a, err := c.get(path)
	if err == nil {
		err = a.want(http.StatusOK)
	}
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	if got := d.Algorithm().FromBytes(a.Body); got != d {
		return nil, fmt.Errorf("GET %s: %d bytes of digest %s", path, len(a.Body), got)
	}
	return a.Body, nil
}

// list follows a paged listing to its end and returns the member's values in order.
func (c *client) list(path, member string) ([]string, error) {
	var all []string
	for path != "" {
		a, err := c.get(path)
		if err == nil {
			err = a.want(http.StatusOK)
		}
		if err != nil {
			return nil, fmt.Errorf("GET %s: %w", path, err)
		}
		var page map[string]json.RawMessage
		var values []string
		if err := json.Unmarshal(a.Body, &page); err != nil {
			return nil, fmt.Errorf("GET %s: %w", path, err)
		}
		if err := json.Unmarshal(page[member], &values); err != nil {
			return nil, fmt.Errorf("GET %s: member %s: %w", path, member, err)
		}
		all = append(all, values...)
		path, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
	}
	return all, nil
}

// manifestTypes is what a client of images accepts.
var manifestTypes = []string{
	ocispec.MediaTypeImageManifest,
	ocispec.MediaTypeImageIndex,
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
}

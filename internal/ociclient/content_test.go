package ociclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
)

// What a far registry hands out under a digest must have it.
func TestWrongBytes(t *testing.T) {
	t.Parallel()
	c := far(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Docker-Content-Digest", string(someDigest))
		w.Header().Set("Content-Type", oci.TypeImage)
		fmt.Fprint(w, "{}")
	})
	for _, ref := range []oci.Ref{{Tag: "v1"}, {Digest: someDigest}} {
		_, _, err := c.Manifest(t.Context(), "app", ref)
		wantFault(t, err, fault.Upstream)
	}
	r, err := c.OpenBlob(t.Context(), "app", someDigest, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = io.ReadAll(r)
	wantFault(t, err, fault.Upstream)
	_, err = c.Resolve(t.Context(), "app", oci.Ref{Digest: digest.FromString("other")})
	wantFault(t, err, fault.Upstream)
}

// A HEAD that tells too little is made good by GET.
func TestResolveWithoutDigest(t *testing.T) {
	t.Parallel()
	c := far(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", oci.TypeImage+"; charset=utf-8")
		if r.Method == http.MethodGet {
			fmt.Fprint(w, "{}")
		}
	})
	got, err := c.Resolve(t.Context(), "app", oci.Ref{Tag: "v1"})
	if err != nil || got.Digest != digest.FromString("{}") || got.Size != 2 || got.MediaType != oci.TypeImage {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	const content = "0123456789"
	whole := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, content) }
	clipped := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 4-9/10")
		w.WriteHeader(206)
		fmt.Fprint(w, content[4:])
	}
	moved := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-3/10")
		w.WriteHeader(206)
		fmt.Fprint(w, content[:4])
	}
	short := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 4-9/10")
		w.Header().Set("Content-Length", "6")
		w.WriteHeader(206)
		fmt.Fprint(w, "45")
	}
	for _, tt := range []struct {
		name   string
		h      http.HandlerFunc
		off, n int64
		want   string
		fails  fault.Reason
	}{
		{"no ranges known", whole, 4, 3, "456", nil},
		{"no ranges known, to the end", whole, 4, -1, "456789", nil},
		{"no ranges known, too far", whole, 4, 7, "", fault.RangeInvalid},
		{"no ranges known, beyond", whole, 11, -1, "", fault.RangeInvalid},
		{"clipped", clipped, 4, 7, "", fault.RangeInvalid},
		{"more than asked", clipped, 4, 2, "45", nil},
		{"another place", moved, 4, 2, "", fault.Upstream},
		{"cut off", short, 4, 6, "", fault.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := far(t, tt.h).OpenBlob(t.Context(), "app", someDigest, tt.off, tt.n)
			var got []byte
			if err == nil {
				defer r.Close()
				got, err = io.ReadAll(r)
			}
			if tt.fails != nil {
				wantFault(t, err, tt.fails)
			} else if err != nil || string(got) != tt.want {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// vault is a registry for uploads that answers a challenge, once per token it forgets.
type vault struct {
	*httptest.Server
	valid  atomic.Value // string: the token that holds
	issued atomic.Int64
	data   bytes.Buffer
	fail   atomic.Bool // take the next piece, and lose the answer
}

func newVault(t *testing.T) *vault {
	v := &vault{}
	v.valid.Store("none")
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *vault) forget() { v.valid.Store("none") }

func (v *vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		v.valid.Store(fmt.Sprint("token", v.issued.Add(1)))
		fmt.Fprintf(w, `{"token":%q}`, v.valid.Load())
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+v.valid.Load().(string) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+v.URL+`/token",service="vault",scope="repository:app:pull,push"`)
		w.WriteHeader(401)
		return
	}
	w.Header().Set("Location", "/v2/app/blobs/uploads/1")
	switch r.Method {
	case http.MethodPost:
		w.WriteHeader(202)
	case http.MethodPatch:
		if cr := r.Header.Get("Content-Range"); cr != "" && !strings.HasPrefix(cr, fmt.Sprintf("%d-", v.data.Len())) {
			refuse(w, 416, "RANGE_INVALID", "out of order")
			return
		}
		_, _ = v.data.ReadFrom(r.Body) // a body that breaks off leaves what came
		if v.fail.Swap(false) {
			w.WriteHeader(503)
			return
		}
		v.state(w, 202)
	case http.MethodGet:
		v.state(w, 204)
	case http.MethodPut:
		_, _ = v.data.ReadFrom(r.Body) // as above
		if digest.FromBytes(v.data.Bytes()).String() != r.URL.Query().Get("digest") {
			refuse(w, 400, "DIGEST_INVALID", "other bytes")
			return
		}
		w.WriteHeader(201)
	}
}

func (v *vault) state(w http.ResponseWriter, status int) {
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, v.data.Len()-1)))
	w.WriteHeader(status)
}

// A token may run out between any two requests, also where the body is a stream that cannot be sent twice.
func TestTokenRunsOut(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"seekable": func(r io.Reader) io.Reader { return r },
		"stream":   func(r io.Reader) io.Reader { return iotest.HalfReader(r) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t)
			c := dial(t, v.URL)
			up, err := c.StartUpload(t.Context(), "app")
			if err != nil {
				t.Fatal(err)
			}
			for from := 0; from < len(content); from += 320_000 {
				v.forget()
				if _, err := up.ReadFrom(wrap(bytes.NewReader(content[from : from+320_000]))); err != nil {
					t.Fatal(err)
				}
			}
			v.forget()
			if _, err := up.Commit(t.Context(), digest.FromBytes(content)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(v.data.Bytes(), content) {
				t.Errorf("%d bytes arrived, not the %d sent", v.data.Len(), len(content))
			}
			v.data.Reset()
			v.forget()
			if _, err := c.PushBlob(t.Context(), "app", digest.FromBytes(content), wrap(bytes.NewReader(content))); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A piece that was taken, though its answer got lost, is neither lost nor doubled.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	c, err := ociclient.New(ociclient.Options{BaseURL: v.URL, Retries: 1})
	if err != nil {
		t.Fatal(err)
	}
	up, err := c.StartUpload(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	v.fail.Store(true)
	n, err := up.ReadFrom(strings.NewReader("hello"))
	if n != 5 || err != nil || up.Size() != 5 || v.data.String() != "hello" {
		t.Errorf("took %d, %v; the upload has %d bytes, the registry %q", n, err, up.Size(), v.data.String())
	}
}

// A source that is cut off must not look like one that ended, however short it is.
func TestSourceCutOff(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	c := dial(t, v.URL)
	for _, n := range []int{0, 10, 70_000} {
		v.data.Reset()
		part := strings.Repeat("x", n)
		r := io.MultiReader(strings.NewReader(part), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := c.PushBlob(t.Context(), "app", digest.FromString(part), r); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("push of %d bytes and a break: %v, want the reader's error", n, err)
		}
	}
}

func TestUploadLocations(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]fault.Reason{
		"":                            fault.Upstream,
		"ftp://elsewhere/x":           fault.Upstream,
		"http://[bad/":                fault.Upstream,
		"/v2/app/blobs/uploads/a?b=c": nil,
		"a":                           nil,
	} {
		c := far(t, func(w http.ResponseWriter, r *http.Request) {
			if location != "" {
				w.Header()["Location"] = []string{location}
			}
			w.WriteHeader(202)
		})
		up, err := c.StartUpload(t.Context(), "app")
		if want != nil {
			wantFault(t, err, want)
			continue
		}
		if err != nil || !strings.HasPrefix(up.ID(), "a") {
			t.Errorf("Location %q: %v", location, err)
		}
	}
	c := far(t, func(http.ResponseWriter, *http.Request) { t.Error("a request for an id that is none") })
	for _, id := range []string{"", ".", "..", "../../app/manifests/v1", "a/b", "a b", "a#b", "?x", "%2e%2e"} {
		_, err := c.ResumeUpload(t.Context(), "app", id)
		wantFault(t, err, fault.UploadUnknown)
	}
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]ociclient.Challenge{
		`Bearer realm="http://x/oauth2/token",service="x"`:    {Scheme: "Bearer", Realm: "http://x/oauth2/token", Service: "x"},
		`bearer service=x , realm="http://x/t\"",scope="a,b"`: {Scheme: "Bearer", Realm: `http://x/t"`, Service: "x"},
		`Basic realm="Azure Container Registry"`:              {Scheme: "Basic", Realm: "Azure Container Registry"},
		`Bearer service="x"`:                                  {},
		`Bearer realm="ftp://x",service="x"`:                  {},
		`Negotiate`:                                           {},
		`Bearer realm="http://x/t`:                            {Scheme: "Bearer", Realm: "http://x/t"},
		``:                                                    {},
	} {
		c := far(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", header)
			w.WriteHeader(401)
		})
		got, err := c.Challenge(t.Context())
		if got != want {
			t.Errorf("challenge %q read as %+v, %v; want %+v", header, got, err, want)
		}
		if want.Scheme == "" {
			wantFault(t, err, fault.Upstream)
		}
	}
}

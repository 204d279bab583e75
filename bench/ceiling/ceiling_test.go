package ceiling_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acre-registry/acre/bench/ceiling"
)

func serve(t *testing.T) string {
	t.Helper()
	s, err := ceiling.New(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		h.Close()
		s.Close()
	})
	return h.URL
}

// send is one request; it returns the answer with its body read.
func send(t *testing.T, method, url, kind, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(got)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestUploadInPieces(t *testing.T) {
	t.Parallel()
	url := serve(t)
	for _, tc := range []struct {
		name   string
		pieces []string
		digest string
		want   int
	}{
		{"whole", []string{"hello"}, digest("hello"), http.StatusCreated},
		{"chunks", []string{"hel", "lo ", "you"}, digest("hello you"), http.StatusCreated},
		{"empty", nil, digest(""), http.StatusCreated},
		{"another digest", []string{"hello"}, digest("other"), http.StatusBadRequest},
		{"no digest", []string{"hello"}, "sha256:../../etc", http.StatusBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			resp, _ := send(t, http.MethodPost, url+"/v2/a/b/blobs/uploads/", "", "")
			for _, p := range tc.pieces {
				resp, _ = send(t, http.MethodPatch, url+resp.Header.Get("Location"), "", p)
			}
			resp, _ = send(t, http.MethodPut, url+resp.Header.Get("Location")+"?digest="+tc.digest, "", "")
			if resp.StatusCode != tc.want {
				t.Fatalf("status %d, want %d", resp.StatusCode, tc.want)
			}
			if tc.want != http.StatusCreated {
				return
			}
			resp, body := send(t, http.MethodGet, url+"/v2/a/b/blobs/"+tc.digest, "", "")
			if resp.StatusCode != http.StatusOK || body != strings.Join(tc.pieces, "") {
				t.Errorf("status %d, body %q", resp.StatusCode, body)
			}
		})
	}
}

func TestManifestsTagsAndReferrers(t *testing.T) {
	t.Parallel()
	url := serve(t)
	const kind = "application/vnd.oci.image.manifest.v1+json"
	put := func(ref, body string) {
		t.Helper()
		if resp, _ := send(t, http.MethodPut, url+"/v2/app/manifests/"+ref, kind, body); resp.StatusCode != http.StatusCreated {
			t.Fatalf("PUT %s: status %d", ref, resp.StatusCode)
		}
	}
	subject := `{"schemaVersion":2}`
	for _, tag := range []string{"c", "a", "b"} {
		put(tag, subject)
	}
	referrer := `{"schemaVersion":2,"artifactType":"x/y","subject":{"digest":"` + digest(subject) + `"}}`
	put(digest(referrer), referrer)
	put(digest(referrer), referrer) // again: it counts once

	resp, body := send(t, http.MethodGet, url+"/v2/app/manifests/a", "", "")
	if body != subject || resp.Header.Get("Content-Type") != kind || resp.Header.Get("Docker-Content-Digest") != digest(subject) {
		t.Errorf("manifest %q, header %v", body, resp.Header)
	}
	resp, body = send(t, http.MethodGet, url+"/v2/app/tags/list?n=2", "", "")
	if want := `{"tags":["a","b"]}`; body != want || resp.Header.Get("Link") != `</v2/app/tags/list?n=2&last=b>; rel="next"` {
		t.Errorf("first page %s, link %q", body, resp.Header.Get("Link"))
	}
	if _, body = send(t, http.MethodGet, url+"/v2/app/tags/list?n=2&last=b", "", ""); body != `{"tags":["c"]}` {
		t.Errorf("second page %s", body)
	}
	if _, body = send(t, http.MethodGet, url+"/v2/app/referrers/"+digest(subject), "", ""); strings.Count(body, digest(referrer)) != 1 {
		t.Errorf("referrers %s", body)
	}
	send(t, http.MethodDelete, url+"/v2/app/manifests/"+digest(subject), "", "")
	if _, body = send(t, http.MethodGet, url+"/v2/app/tags/list", "", ""); body != `{"tags":[]}` {
		t.Errorf("tags after the delete %s", body)
	}
}

func TestMainListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "nonsense"} {
		if err := ceiling.Main([]string{"--dir", t.TempDir(), "--addr", addr}, io.Discard); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v, want it refused", addr, err)
		}
	}
}

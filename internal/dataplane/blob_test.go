package dataplane_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// begin starts an upload and gives its Location.
func (s *server) begin(t testing.TB, repo string) string {
	t.Helper()
	a := s.do(t, "POST", "/v2/"+repo+"/blobs/uploads/", nil)
	a.want(t, "begin an upload", 202, "")
	a.has(t, "begin an upload", "Range", "0-0", "Content-Length", "0")
	at := a.header.Get("Location")
	if id := a.header.Get("Docker-Upload-Uuid"); id == "" || !strings.HasPrefix(at, "/v2/"+repo+"/blobs/uploads/"+id+"?") {
		t.Fatalf("Location %q of upload %q is no relative path with a query", at, id)
	}
	return at
}

// holds checks that a blob is there, by HEAD and by GET.
func (s *server) holds(t testing.TB, repo, body string) {
	t.Helper()
	path := "/v2/" + repo + "/blobs/" + string(sum(body))
	for _, method := range []string{"HEAD", "GET"} {
		a := s.do(t, method, path, nil)
		a.want(t, method+" "+path, 200, "")
		a.has(t, method+" "+path, "Content-Length", fmt.Sprint(len(body)), "Docker-Content-Digest", string(sum(body)),
			"Content-Type", "application/octet-stream", "Accept-Ranges", "bytes", "Etag", `"`+string(sum(body))+`"`)
		if want := map[string]string{"HEAD": "", "GET": body}[method]; a.body != want {
			t.Errorf("%s %s: body %.80q, want %.80q", method, path, a.body, want)
		}
	}
}

// scales are how many times a test's text is repeated: kept in its row the blob is small, as an object it is not.
var scales = []int{1, 1000}

// span is the range of bytes from off up to end, times k, as headers of uploads have it.
func span(off, end, k int) string { return fmt.Sprintf("%d-%d", off*k, end*k-1) }

// Every way to send a blob: what is sent after the upload began, and what closes it.
func TestUploadWays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, k := range scales {
			s.uploadWays(t, k)
		}
	})
}

func (s *server) uploadWays(t *testing.T, k int) {
	body := strings.Repeat("0123456789abcdefghij", k)
	part := func(off, end int) string { return body[off*k : end*k] }
	type piece struct {
		body   any
		header []string
		at     string // Range afterwards
	}
	for i, c := range []struct {
		name   string
		pieces []piece
		last   any
		header []string
	}{
		{name: "whole in the PUT", last: body},
		{name: "whole in the PUT without a length", last: bytes.NewBufferString(body)},
		{name: "whole in the PUT with its range", last: body, header: []string{"Content-Range", span(0, 20, k)}},
		{name: "one stream", pieces: []piece{{bytes.NewBufferString(body), nil, span(0, 20, k)}}},
		{name: "two streams", pieces: []piece{{bytes.NewBufferString(part(0, 4)), nil, span(0, 4, k)}, {bytes.NewBufferString(part(4, 20)), nil, span(0, 20, k)}}},
		{name: "pieces without a range", pieces: []piece{{part(0, 1), nil, span(0, 1, k)}, {part(1, 8), nil, span(0, 8, k)}, {part(8, 20), nil, span(0, 20, k)}}},
		{name: "chunks", pieces: []piece{{part(0, 8), []string{"Content-Range", span(0, 8, k)}, span(0, 8, k)}, {part(8, 20), []string{"Content-Range", span(8, 20, k)}, span(0, 20, k)}}},
		{name: "chunks as HTTP writes ranges", pieces: []piece{{part(0, 8), []string{"Content-Range", fmt.Sprintf("bytes %s/%d", span(0, 8, k), 20*k)}, span(0, 8, k)}}, last: part(8, 20)},
		{name: "chunks, the last in the PUT", pieces: []piece{{part(0, 8), []string{"Content-Range", span(0, 8, k)}, span(0, 8, k)}}, last: part(8, 20), header: []string{"Content-Range", span(8, 20, k)}},
		{name: "chunks, a small last in the PUT", pieces: []piece{{part(0, 19), []string{"Content-Range", span(0, 19, k)}, span(0, 19, k)}}, last: part(19, 20), header: []string{"Content-Range", span(19, 20, k)}},
		{name: "an empty PATCH first", pieces: []piece{{"", nil, "0-0"}, {body, []string{"Content-Type", "text/plain"}, span(0, 20, k)}}},
	} {
		name, repo := fmt.Sprintf("%s, %d bytes", c.name, len(body)), fmt.Sprintf("way/number-%d", i)
		at := s.begin(t, repo)
		for _, p := range c.pieces {
			a := s.do(t, "PATCH", at, p.body, p.header...)
			a.want(t, name, 202, "")
			a.has(t, name, "Range", p.at, "Content-Length", "0")
			at = a.header.Get("Location")
		}
		a := s.do(t, "PUT", at+"&digest="+url.QueryEscape(string(sum(body))), c.last, c.header...)
		a.want(t, name, 201, "")
		a.has(t, name, "Location", "/v2/"+repo+"/blobs/"+string(sum(body)), "Docker-Content-Digest", string(sum(body)), "Content-Length", "0")
		s.holds(t, repo, body)
		s.do(t, "GET", at, nil).want(t, name+": the upload afterwards", 404, "BLOB_UPLOAD_UNKNOWN")
	}
}

func TestUploadAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		d512, large := digest.SHA512.FromString("under sha512"), strings.Repeat("large ", 10_000)
		for _, c := range []struct {
			name, path, body string
			status           int
			code             string
		}{
			{"with its digest", "/v2/app/blobs/uploads/?digest=" + string(sum("x")), "x", 201, ""},
			{"again", "/v2/app/blobs/uploads/?digest=" + string(sum("x")), "x", 201, ""},
			{"encoded", "/v2/team%2Fapp/blobs/uploads/?digest=" + url.QueryEscape(string(sum("x"))), "x", 201, ""},
			{"without the final slash", "/v2/app/blobs/uploads?digest=" + string(sum("y")), "y", 201, ""},
			{"of no bytes", "/v2/app/blobs/uploads/?digest=" + string(sum("")), "", 201, ""},
			{"of two bytes", "/v2/app/blobs/uploads/?digest=" + string(sum("{}")), "{}", 201, ""},
			{"of many bytes", "/v2/app/blobs/uploads/?digest=" + string(sum(large)), large, 201, ""},
			{"many bytes under another's digest", "/v2/app/blobs/uploads/?digest=" + string(sum("x")), large, 400, "DIGEST_INVALID"},
			{"under sha512", "/v2/app/blobs/uploads/?digest=" + string(d512), "under sha512", 201, ""},
			{"under another's digest", "/v2/app/blobs/uploads/?digest=" + string(sum("x")), "y", 400, "DIGEST_INVALID"},
			{"under no digest", "/v2/app/blobs/uploads/?digest=", "x", 400, "DIGEST_INVALID"},
			{"under a bad digest", "/v2/app/blobs/uploads/?digest=sha256:bad", "x", 400, "DIGEST_INVALID"},
			{"under an unknown algorithm", "/v2/app/blobs/uploads/?digest=md5:d41d8cd98f00b204e9800998ecf8427e", "", 400, "DIGEST_INVALID"},
			{"in a bad name", "/v2/App/blobs/uploads/?digest=" + string(sum("x")), "x", 400, "NAME_INVALID"},
		} {
			s.do(t, "POST", c.path, c.body).want(t, c.name, c.status, c.code)
		}
		for _, body := range []string{"x", "y", "", "{}", large} {
			s.holds(t, "app", body)
		}
		a := s.do(t, "GET", "/v2/app/blobs/"+string(d512), nil)
		a.has(t, "sha512", "Docker-Content-Digest", string(d512))
		if a.body != "under sha512" {
			t.Errorf("body %q", a.body)
		}
	})
}

// A chunk that does not fit is refused, the upload goes on, and any Location that was handed out tells where it stands.
func TestUploadOutOfOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, k := range scales {
			s.uploadOutOfOrder(t, k)
		}
	})
}

func (s *server) uploadOutOfOrder(t *testing.T, k int) {
	body := strings.Repeat("0123456789", k)
	first, second := body[:5*k], body[5*k:]
	five := span(0, 5, k)
	stale := s.begin(t, "app")
	for _, c := range []struct {
		name, method, chunk, rng string
		status                   int
		code, at                 string
	}{
		{"begins too late", "PATCH", second, span(5, 10, k), 416, "RANGE_INVALID", "0-0"},
		{"fits", "PATCH", first, five, 202, "", five},
		{"comes twice", "PATCH", first, five, 416, "RANGE_INVALID", five},
		{"ends before it begins", "PATCH", second, span(9, 5, k), 416, "RANGE_INVALID", five},
		{"is no range", "PATCH", second, "five-nine", 416, "RANGE_INVALID", five},
		{"leaves a gap", "PATCH", body[6*k:], span(6, 10, k), 416, "RANGE_INVALID", five},
		{"has another length", "PATCH", second, span(5, 8, k), 400, "SIZE_INVALID", five},
		{"closes too early", "PUT", first, five, 416, "RANGE_INVALID", five},
		{"closes too late", "PUT", body[6*k:], span(6, 10, k), 416, "RANGE_INVALID", five},
	} {
		path := stale
		if c.method == "PUT" {
			path += "&digest=" + string(sum(body))
		}
		a := s.do(t, c.method, path, c.chunk, "Content-Range", c.rng)
		a.want(t, c.name, c.status, c.code)
		a.has(t, c.name, "Range", c.at)
		if c.status == 416 && !strings.HasPrefix(a.header.Get("Location"), "/v2/app/blobs/uploads/") {
			t.Errorf("%s: Location %q", c.name, a.header.Get("Location"))
		}
		status := s.do(t, "GET", stale, nil)
		status.want(t, c.name+": status", 204, "")
		status.has(t, c.name+": status", "Range", c.at, "Docker-Upload-Uuid", a.header.Get("Docker-Upload-Uuid"))
	}
	s.do(t, "PUT", stale+"&digest="+string(sum(body)), second, "Content-Range", span(5, 10, k)).want(t, "close", 201, "")
	s.holds(t, "app", body)
}

func TestUploadRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, k := range scales {
			body, at := strings.Repeat("some bytes", k), s.begin(t, "app")
			s.do(t, "PATCH", at, body).want(t, "send", 202, "")
			s.do(t, "PUT", at, nil).want(t, "no digest", 400, "DIGEST_INVALID")
			s.do(t, "PUT", at+"&digest=sha256:bad", nil).want(t, "a bad digest", 400, "DIGEST_INVALID")
			s.do(t, "PUT", at+"&digest=crc:00", nil).want(t, "an unknown algorithm", 400, "DIGEST_INVALID")
			s.do(t, "GET", at, nil).has(t, "after bad digests", "Range", span(0, 10, k))
			s.do(t, "PUT", at+"&digest="+string(sum("other bytes")), nil).want(t, "a wrong digest", 400, "DIGEST_INVALID")
			s.do(t, "GET", at, nil).want(t, "after a wrong digest", 404, "BLOB_UPLOAD_UNKNOWN")
			s.do(t, "HEAD", "/v2/app/blobs/"+string(sum("other bytes")), nil).want(t, "the blob of the wrong digest", 404, "")
			s.do(t, "HEAD", "/v2/app/blobs/"+string(sum(body)), nil).want(t, "the blob of the bytes", 404, "")
		}

		cancelled := s.begin(t, "app")
		a := s.do(t, "DELETE", cancelled, nil)
		a.want(t, "cancel", 204, "")
		if a.body != "" {
			t.Errorf("cancel: body %q", a.body)
		}
		path, _, _ := strings.Cut(cancelled, "?")
		elsewhere := strings.Replace(s.begin(t, "app"), "/v2/app/", "/v2/other/", 1)
		for _, gone := range []string{cancelled, path, "/v2/app/blobs/uploads/nothing-of-this-id", elsewhere, "/v2/app/blobs/uploads/..%2F..%2Fkey"} {
			for _, c := range []struct{ method, query string }{{"GET", ""}, {"PATCH", ""}, {"PUT", "?digest=" + string(sum("x"))}, {"DELETE", ""}} {
				path, _, _ := strings.Cut(gone, "?")
				if strings.Contains(gone, "%2F") {
					continue
				}
				s.do(t, c.method, path+c.query, nil).want(t, c.method+" "+gone, 404, "BLOB_UPLOAD_UNKNOWN")
			}
		}
	})
}

// A blob mounts from where the caller may read it; where not, an ordinary upload begins.
func TestMount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		d := string(s.pushBlob(t, "from/here", "to be mounted"))
		both := s.token(t, "repository:app:pull,push", "repository:from/here:pull")
		target := s.token(t, "repository:app2:pull,push")
		for _, c := range []struct {
			name, authorization, repo, query string
			status                           int
		}{
			{"from where it is", both, "app", "mount=" + d + "&from=from/here", 201},
			{"again", both, "app", "mount=" + d + "&from=from%2Fhere", 201},
			{"encoded, other order", both, "app", "from=from/here&mount=" + url.QueryEscape(d), 201},
			{"without from", basicAuth("acre", password), "app3", "mount=" + d, 201},
			{"without from, which may not be read", target, "app2", "mount=" + d, 202},
			{"from where the caller may not read", target, "app2", "mount=" + d + "&from=from/here", 202},
			{"from where it is not", both, "app", "mount=" + string(sum("never pushed")) + "&from=from/here", 202},
			{"from nowhere", basicAuth("acre", password), "app4", "mount=" + d + "&from=no/where", 202},
			{"from a bad name", basicAuth("acre", password), "app4", "mount=" + d + "&from=No!Where", 202},
			{"from itself", basicAuth("acre", password), "from/here", "mount=" + d + "&from=from/here", 201},
			{"with an empty mount", both, "app", "mount=&from=from/here", 202},
		} {
			a := s.send(t, "POST", "/v2/"+c.repo+"/blobs/uploads/?"+c.query, nil, "Authorization", c.authorization)
			a.want(t, c.name, c.status, "")
			if c.status == 201 {
				a.has(t, c.name, "Location", "/v2/"+c.repo+"/blobs/"+d, "Docker-Content-Digest", d, "Content-Length", "0")
				s.holds(t, c.repo, "to be mounted")
				continue
			}
			a.has(t, c.name, "Range", "0-0")
			at := a.header.Get("Location")
			s.send(t, "GET", at, nil, "Authorization", c.authorization).want(t, c.name+": the upload", 204, "")
			s.send(t, "DELETE", at, nil, "Authorization", c.authorization).want(t, c.name+": cancel", 204, "")
			if c.repo != "app" {
				s.do(t, "HEAD", "/v2/"+c.repo+"/blobs/"+d, nil).want(t, c.name+": the blob", 404, "")
			}
		}
		s.do(t, "POST", "/v2/app/blobs/uploads/?mount=sha256:bad&from=from/here", nil).want(t, "a bad digest", 400, "DIGEST_INVALID")
		a := s.send(t, "POST", "/v2/app9/blobs/uploads/?mount="+d+"&from=from/here", nil, "Authorization", target)
		a.want(t, "into where the caller may not push", 401, "UNAUTHORIZED")
		if got := a.header.Get("Www-Authenticate"); !strings.HasSuffix(got, `,scope="repository:app9:pull,push",error="insufficient_scope"`) {
			t.Errorf("challenge %s", got)
		}
	})
}

func TestBlobRanges(t *testing.T) {
	t.Parallel()
	const body = "0123456789"
	each(t, func(t *testing.T, s *server) {
		d := string(s.pushBlob(t, "app", body))
		large := strings.Repeat("0123456789abcdef", 4096)
		s.pushBlob(t, "app", large)
		tag := `"` + d + `"`
		for _, c := range []struct {
			name   string
			header []string
			status int
			body   string
			rng    string
		}{
			{"first and last", []string{"Range", "bytes=2-5"}, 206, "2345", "bytes 2-5/10"},
			{"one byte", []string{"Range", "bytes=0-0"}, 206, "0", "bytes 0-0/10"},
			{"to the end", []string{"Range", "bytes=7-"}, 206, "789", "bytes 7-9/10"},
			{"the last ones", []string{"Range", "bytes=-3"}, 206, "789", "bytes 7-9/10"},
			{"more than there are, from the end", []string{"Range", "bytes=-30"}, 206, body, "bytes 0-9/10"},
			{"an end beyond", []string{"Range", "bytes=8-100"}, 206, "89", "bytes 8-9/10"},
			{"all", []string{"Range", "bytes=0-"}, 206, body, "bytes 0-9/10"},
			{"from the end on", []string{"Range", "bytes=10-"}, 416, "", "bytes */10"},
			{"far beyond", []string{"Range", "bytes=500-600"}, 416, "", "bytes */10"},
			{"backwards", []string{"Range", "bytes=500-0"}, 416, "", "bytes */10"},
			{"backwards inside", []string{"Range", "bytes=5-2"}, 416, "", "bytes */10"},
			{"no bytes from the end", []string{"Range", "bytes=-0"}, 416, "", "bytes */10"},
			{"no numbers", []string{"Range", "bytes=a-b"}, 416, "", "bytes */10"},
			{"another unit", []string{"Range", "lines=1-2"}, 200, body, ""},
			{"several", []string{"Range", "bytes=0-1,3-4"}, 200, body, ""},
			{"with the blob's tag", []string{"Range", "bytes=2-5", "If-Range", tag}, 206, "2345", "bytes 2-5/10"},
			{"with another's tag", []string{"Range", "bytes=2-5", "If-Range", `"sha256:other"`}, 200, body, ""},
			{"with a date", []string{"Range", "bytes=2-5", "If-Range", "Mon, 02 Jan 2006 15:04:05 GMT"}, 200, body, ""},
			{"known", []string{"If-None-Match", tag}, 304, "", ""},
			{"known, bare", []string{"If-None-Match", d}, 304, "", ""},
			{"known, weak", []string{"If-None-Match", "W/" + tag}, 304, "", ""},
			{"known among others", []string{"If-None-Match", `"a", ` + tag}, 304, "", ""},
			{"known in a second header", []string{"If-None-Match", `"a"`, "If-None-Match", tag}, 304, "", ""},
			{"any", []string{"If-None-Match", "*"}, 304, "", ""},
			{"known before the range", []string{"If-None-Match", tag, "Range", "bytes=500-"}, 304, "", ""},
			{"others", []string{"If-None-Match", `"a"`}, 200, body, ""},
			{"compression offered", []string{"Accept-Encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5"}, 200, body, ""},
		} {
			a := s.do(t, "GET", "/v2/app/blobs/"+d, nil, c.header...)
			code := ""
			if c.status == 416 {
				code = "RANGE_INVALID"
			}
			a.want(t, c.name, c.status, code)
			a.has(t, c.name, "Content-Range", c.rng, "Docker-Content-Digest", d, "Content-Encoding", "")
			if c.status < 300 {
				a.has(t, c.name, "Content-Length", fmt.Sprint(len(c.body)), "Accept-Ranges", "bytes")
			}
			if c.status != 416 && a.body != c.body {
				t.Errorf("%s: body %q, want %q", c.name, a.body, c.body)
			}
		}
		head := s.do(t, "HEAD", "/v2/app/blobs/"+d, nil, "Range", "bytes=2-5")
		head.want(t, "HEAD with a range", 200, "")
		head.has(t, "HEAD with a range", "Content-Length", "10", "Content-Range", "")
		if a := s.do(t, "GET", "/v2/app/blobs/"+string(sum(large)), nil, "Range", "bytes=65000-65100"); a.status != 206 || a.body != large[65000:65101] {
			t.Errorf("a range of a large blob: %d, %d bytes", a.status, len(a.body))
		}
		empty := string(s.pushBlob(t, "app", ""))
		s.do(t, "GET", "/v2/app/blobs/"+empty, nil).want(t, "a blob of no bytes", 200, "")
		s.do(t, "GET", "/v2/app/blobs/"+empty, nil, "Range", "bytes=0-").want(t, "a range of no bytes", 416, "RANGE_INVALID")
	})
}

func TestDeleteBlob(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		d := string(s.pushBlob(t, "app", "shared"))
		s.pushBlob(t, "other", "shared")
		path := "/v2/app/blobs/" + d
		a := s.do(t, "DELETE", "/v2/app/blobs/"+url.QueryEscape(d), nil)
		a.want(t, "delete", 202, "")
		a.has(t, "delete", "Content-Length", "0")
		s.do(t, "HEAD", path, nil).want(t, "afterwards", 404, "")
		s.do(t, "GET", path, nil).want(t, "afterwards", 404, "BLOB_UNKNOWN")
		s.do(t, "DELETE", path, nil).want(t, "again", 404, "BLOB_UNKNOWN")
		s.do(t, "DELETE", "/v2/no/where/blobs/"+d, nil).want(t, "in an unknown repository", 404, "BLOB_UNKNOWN")
		s.do(t, "DELETE", "/v2/app/blobs/sha256:bad", nil).want(t, "of a digest that cannot be", 404, "BLOB_UNKNOWN")
		s.holds(t, "other", "shared")

		_, m := s.pushImage(t, "app", "v1", "{}", "a layer")
		s.do(t, "DELETE", "/v2/app/blobs/"+string(sum("a layer")), nil).want(t, "a blob in use", 202, "")
		s.do(t, "GET", "/v2/app/manifests/"+string(m), nil).want(t, "its manifest", http.StatusOK, "")
	})
}

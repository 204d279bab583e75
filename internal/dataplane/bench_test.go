package dataplane_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/web"
)

// sink takes an answer and forgets it.
type sink struct {
	header http.Header
	status int
	bytes  int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { s.bytes += len(p); return len(p), nil }

// BenchmarkRead is what a read costs beside net/http, with its token, its access line and what it finds in the cache.
func BenchmarkRead(b *testing.B) {
	s := start(b, metatest.Open(b, metatest.Stores(b)["sqlite"](b), meta.Options{}))
	ctx := auth.As(context.Background(), auth.System("bench"))
	reg, err := s.registries.Get(ctx, "acre")
	if err != nil {
		b.Fatal(err)
	}
	blob := bytes.Repeat([]byte("layer"), 200)
	in, d := s.content.In(reg), digest.FromBytes(blob)
	if _, err := in.PushBlob(ctx, "team/app", d, bytes.NewReader(blob)); err != nil {
		b.Fatal(err)
	}
	desc := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, oci.TypeOctets, d, len(blob))
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, oci.TypeImage, desc, desc)
	m, err := in.PutManifest(ctx, "team/app", oci.Ref{Tag: "v1"}, oci.TypeImage, []byte(body))
	if err != nil {
		b.Fatal(err)
	}
	authorization := s.token(b, "repository:team/app:pull")
	handler := web.New(s.answer, web.Options{Log: slog.New(slog.NewTextHandler(new(sink), nil))})
	for name, path := range map[string]string{
		"tag": "manifests/v1", "digest": "manifests/" + string(m.Digest), "blob": "blobs/" + string(d),
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/v2/team/app/"+path, nil)
			r.Header.Set("Authorization", authorization)
			r.Header.Set("User-Agent", "docker/28.0")
			b.ReportAllocs()
			for b.Loop() {
				w := &sink{header: http.Header{}}
				handler.ServeHTTP(w, r)
				if w.status != http.StatusOK || w.bytes == 0 {
					b.Fatalf("%d with %d bytes", w.status, w.bytes)
				}
			}
		})
	}
}

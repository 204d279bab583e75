package dataplane_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/dataplane"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/oci/ocitest"
	"github.com/acre-registry/acre/internal/ociclient"
	"github.com/acre-registry/acre/internal/resource"
	"github.com/acre-registry/acre/internal/web"
)

// server is a registry behind the face, over a real store.
type server struct {
	*httptest.Server
	answer     http.Handler
	db         *meta.DB
	registries *auth.Registries
	auth       *auth.Service
	content    *content.Service
	resources  *resource.Service
}

const password = "a password for tests"

// start serves the registry "acre", whose admin user has password, over HTTP.
func start(t testing.TB, db *meta.DB) *server {
	t.Helper()
	ctx := auth.As(context.Background(), auth.System("test"))
	bucket, err := disk.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{db: db, registries: auth.NewRegistries(db)}
	if s.auth, err = auth.New(ctx, auth.Options{DB: db, Registries: s.registries}); err != nil {
		t.Fatal(err)
	}
	if s.resources, err = resource.New(ctx, resource.Options{DB: db, Registries: s.registries}); err != nil {
		t.Fatal(err)
	}
	if err := s.resources.PutDevRegistry(ctx, "acre", password); err != nil {
		t.Fatal(err)
	}
	s.content = content.New(content.Options{DB: db, Blobs: blob.NewStore(bucket)})
	face := dataplane.New(dataplane.Options{
		Auth:     s.auth,
		Contents: func(reg *auth.Registry) oci.Registry { return s.content.In(reg) },
		Content:  s.content,
		UploadBegun: func(reg *auth.Registry, repo, id string) (time.Time, bool) {
			return s.content.In(reg).UploadBegun(repo, id)
		},
	})
	s.answer = web.Handle(func(w http.ResponseWriter, r *http.Request) error {
		reg, err := s.registries.Get(r.Context(), "acre")
		if err != nil {
			return err
		}
		return face.Handle(reg, w, r)
	}, dataplane.Render)
	s.Server = httptest.NewServer(web.New(s.answer, web.Options{}))
	t.Cleanup(s.Close)
	return s
}

// The suite of every registry, through client, face and content.
func TestRegistry(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ocitest.Run(t, func(t *testing.T) oci.Registry {
				s := start(t, metatest.Open(t, store(t), meta.Options{}))
				far, err := ociclient.New(ociclient.Options{BaseURL: s.URL, Credential: ociclient.Static(s.URL, ociclient.Credential{Username: "acre", Password: password})})
				if err != nil {
					t.Fatal(err)
				}
				return far
			})
		})
	}
}

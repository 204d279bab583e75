package audit_test

import (
	"context"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// BenchmarkRepository is the whole cost of a row: handed in, chained and written, as fast as the store takes them.
func BenchmarkRepository(b *testing.B) {
	db := metatest.Open(b, "sqlite://"+b.TempDir()+"/acre.db", meta.Options{})
	if err := db.Update(b.Context(), func(tx *meta.Tx) error {
		_, err := tx.CreateRegistry("demo1")
		return err
	}); err != nil {
		b.Fatal(err)
	}
	a := audit.New(audit.Options{DB: db, Scope: scope})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	pull := audit.RepositoryEvent{Request: request(200), Operation: acr.PullOperation, Identity: "ci", Repository: "team/app", Tag: "v1",
		Digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", MediaType: "application/vnd.oci.image.manifest.v1+json"}
	for b.Loop() {
		a.Repository(b.Context(), pull)
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

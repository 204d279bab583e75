package meta_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
)

// benchEach runs fn for each dialect with a registry that has a thousand tags.
func benchEach(b *testing.B, fn func(b *testing.B, db *meta.DB, registry int64)) {
	for name, store := range metatest.Stores(b) {
		b.Run(name, func(b *testing.B) {
			db := metatest.Open(b, store(b), meta.Options{})
			var registry int64
			err := db.Update(context.Background(), func(tx *meta.Tx) (err error) {
				if registry, err = tx.CreateRegistry("demo"); err != nil {
					return err
				}
				repository, err := tx.MakeRepository(registry, "team/app")
				if err != nil {
					return err
				}
				for i := range 1000 {
					body := fmt.Sprintf("%02000d", i)
					id, err := tx.PutManifest(meta.Manifest{
						Repository: repository, Digest: digestOf(body), MediaType: oci.TypeImage, Body: []byte(body),
					}, nil)
					if err == nil {
						_, _, err = tx.PutTag(repository, fmt.Sprint("v", i), id)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			fn(b, db, registry)
		})
	}
}

// writers runs one write for each of b.N from eight goroutines and reports commits a second.
func writers(b *testing.B, write func(n int64) error) {
	var n atomic.Int64
	b.SetParallelism(4) // times GOMAXPROCS, which is 2 on the reference machine
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := write(n.Add(1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// groups counts groups of writes that run on one goroutine: a group's functions come first, then all of its hooks.
type groups struct {
	ended  bool
	writes int64
	total  int64
}

func (g *groups) write(tx *meta.Tx) {
	if g.ended || g.total == 0 {
		g.ended = false
		g.total++
	}
	g.writes++
	tx.OnCommit(func() { g.ended = true })
}

func (g *groups) report(b *testing.B) {
	b.ReportMetric(float64(g.writes)/float64(g.total), "writes/flush")
}

func BenchmarkUpdate(b *testing.B) {
	benchEach(b, func(b *testing.B, db *meta.DB, registry int64) {
		var g groups
		writers(b, func(n int64) error {
			return db.Update(context.Background(), func(tx *meta.Tx) error {
				if !db.Shared() { // there Updates run side by side
					g.write(tx)
				}
				return tx.Litter(fmt.Sprint("object", n), n)
			})
		})
		if !db.Shared() {
			g.report(b)
		}
	})
}

func BenchmarkChange(b *testing.B) {
	benchEach(b, func(b *testing.B, db *meta.DB, registry int64) {
		var g groups
		writers(b, func(n int64) error {
			return db.Change(context.Background(), registry, func(tx *meta.Tx) error {
				g.write(tx)
				return tx.Append(&acr.Event{Kind: acr.TagPushed, Repository: "team/app", Tag: "v1", Digest: digestOf("x"), Actor: "bench"})
			})
		})
		g.report(b)
	})
}

func BenchmarkManifestByTag(b *testing.B) {
	ways := map[string]func(*meta.DB, context.Context, func(*meta.Tx) error) error{"look": (*meta.DB).Look, "view": (*meta.DB).View}
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			benchEach(b, func(b *testing.B, db *meta.DB, registry int64) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					err := way(db, context.Background(), func(tx *meta.Tx) error {
						m, found, err := tx.ManifestByTag(registry, "team/app", fmt.Sprint("v", i%1000))
						if !found || len(m.Body) != 2000 {
							return fmt.Errorf("found %t, %d bytes: %w", found, len(m.Body), err)
						}
						return err
					})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkSize reads the size of a registry of many blobs, as many of them not folded yet as a thousand pushes a second leave.
func BenchmarkSize(b *testing.B) {
	db := metatest.Open(b, "sqlite://"+filepath.Join(b.TempDir(), "acre.db"), meta.Options{})
	const blobs, unfolded = 100_000, 20_000
	var registry int64
	err := db.Update(context.Background(), func(tx *meta.Tx) (err error) {
		if registry, err = tx.CreateRegistry("demo"); err != nil {
			return err
		}
		for i := range blobs {
			d := oci.Digest(fmt.Sprintf("sha256:%064x", i))
			if _, err := tx.PutBlob(registry, d, 1000, fmt.Sprint(i), nil); err != nil {
				return err
			}
		}
		_, err = tx.FoldSizes(blobs - unfolded)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var size int64
		err := db.View(context.Background(), func(tx *meta.Tx) (err error) {
			size, err = tx.Size(registry)
			return err
		})
		if err != nil || size != blobs*1000 {
			b.Fatal(size, err)
		}
	}
}

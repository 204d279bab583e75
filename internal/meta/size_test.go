package meta_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
)

// After any pushes, mounts, deletions and collections a registry's size is the sum of its blobs, each counted once.
func TestSize(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		r := rand.New(rand.NewPCG(seed, 1))
		registries := []int64{newRegistry(t, db, "demo"), newRegistry(t, db, "other")}
		blobs := make([]oci.Digest, 12)
		size := func(i int) int64 { return int64(i * 1000) }
		for i := range blobs {
			blobs[i] = digestOf(fmt.Sprint("blob ", i))
		}
		for step := range 400 {
			registry, i := registries[r.IntN(2)], r.IntN(len(blobs))
			repo := fmt.Sprint("repo", r.IntN(3))
			err := db.Update(context.Background(), func(tx *meta.Tx) error {
				switch r.IntN(6) {
				case 0: // a small blob, its bytes in the row
					if _, err := tx.PutBlob(registry, blobs[i], size(i), "", make([]byte, 1)); err != nil {
						return err
					}
				case 1: // an object, or the same once more
					if err := putBlob(tx, registry, blobs[i], size(i), fmt.Sprint(registry, "-", i, "-", step%3)); err != nil {
						if fault.Of(err).Code == fault.UploadUnknown.Name {
							return nil // the key is litter by now
						}
						return err
					}
				case 2: // deleted from one repository
					id, err := tx.MakeRepository(registry, repo)
					if err == nil {
						_, err = tx.DeleteMember(registry, id, blobs[i])
					}
					return err
				case 3:
					_, err := tx.FoldSizes(1 + r.IntN(4))
					return err
				case 4:
					return collectOne(tx, registry)
				}
				_, err := addMember(tx, registry, repo, blobs[i])
				return err
			})
			if err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			for _, registry := range registries {
				checkSize(t, db, registry, fmt.Sprintf("seed %d, step %d", seed, step))
			}
		}
		// What another release changed without keeping count is put right.
		update(t, db, func(tx *meta.Tx) error { return tx.Resize(registries[0], 77) })
		look(t, db, func(tx *meta.Tx) error {
			missing, err := tx.MissizedBy(registries[0])
			if missing != -77 {
				t.Errorf("missized by %d, want -77", missing)
			}
			return err
		})
	})
}

func checkSize(t *testing.T, db *meta.DB, registry int64, when string) {
	t.Helper()
	err := db.View(context.Background(), func(tx *meta.Tx) error {
		missing, err := tx.MissizedBy(registry)
		if missing != 0 {
			t.Fatalf("%s: registry %d has %d bytes more than its size says", when, registry, missing)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// collectOne takes an idle membership of a registry, if there is one.
func collectOne(tx *meta.Tx, registry int64) error {
	idle, err := tx.IdleMembers(time.Now().Add(time.Hour), 100)
	for _, i := range idle {
		if i.Registry == registry {
			_, err = tx.CollectMember(i)
			break
		}
	}
	return err
}

// Of those who push and delete the same blobs at once, each change counts once.
func TestSizeTogether(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry := newRegistry(t, db, "demo")
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				repo := fmt.Sprint("repo", worker)
				for step := range 40 {
					d := digestOf(fmt.Sprint("blob ", step%5))
					err := db.Update(context.Background(), func(tx *meta.Tx) error {
						if step%3 == 2 {
							id, err := tx.MakeRepository(registry, repo)
							if err == nil {
								_, err = tx.DeleteMember(registry, id, digestOf(fmt.Sprint("blob ", (step-1)%5)))
							}
							return err
						}
						if _, err := tx.PutBlob(registry, d, 1000, "", make([]byte, 1)); err != nil {
							return err
						}
						_, err := addMember(tx, registry, repo, d)
						return err
					})
					if err == nil && step%10 == 9 {
						err = db.Update(context.Background(), func(tx *meta.Tx) error { _, err := tx.FoldSizes(3); return err })
					}
					if err != nil {
						t.Errorf("worker %d, step %d: %v", worker, step, err)
						return
					}
				}
			})
		}
		all.Wait()
		checkSize(t, db, registry, "afterwards")
	})
}

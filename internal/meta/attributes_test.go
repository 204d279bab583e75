package meta_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// Pages of tags and manifests, in every order, hold each row once, and the hidden ones never.
func TestListings(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	metatest.EachWith(t, meta.Options{Now: func() time.Time { return at }}, func(t *testing.T, db *meta.DB) {
		const rows, limit = 23, 4
		var repository int64
		var first int64
		if err := db.Update(t.Context(), func(tx *meta.Tx) error {
			registry, err := tx.CreateRegistry("acre")
			if err != nil {
				return err
			}
			if repository, err = tx.MakeRepository(registry, "app"); err != nil {
				return err
			}
			for i := range rows {
				sum := digest.FromBytes(binary.BigEndian.AppendUint64(nil, uint64(i)))
				id, err := tx.PutManifest(meta.Manifest{Repository: repository, Digest: sum, Body: []byte("{}")}, nil)
				if err != nil {
					return err
				}
				name := fmt.Sprintf("t%02d", i)
				if first == 0 {
					first = id
				}
				if i%2 == 0 {
					id = first
				}
				if _, _, err := tx.PutTag(repository, name, id); err != nil {
					return err
				}
				if i == 5 {
					if err := tx.LockTag(repository, name, acr.NoList); err != nil {
						return err
					}
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			order    acr.Order
			manifest int64
			want     int
		}{{acr.ByName, 0, rows - 1}, {acr.OldestFirst, 0, rows - 1}, {acr.NewestFirst, 0, rows - 1}, {acr.ByName, first, 12}, {acr.NewestFirst, first, 12}} {
			var names []string
			for from := (meta.From{}); ; {
				var page []acr.TagInfo
				if err := db.Look(t.Context(), func(tx *meta.Tx) (err error) {
					page, err = tx.TagList(repository, c.manifest, c.order, from, limit)
					return err
				}); err != nil {
					t.Fatal(err)
				}
				for _, tag := range page {
					names = append(names, tag.Name)
				}
				if len(page) < limit {
					break
				}
				last := page[len(page)-1]
				from = meta.From{After: last.Name, At: last.LastUpdateTime.UnixMicro()}
			}
			if c.order == acr.NewestFirst {
				slices.Reverse(names)
			}
			if len(names) != c.want || !slices.IsSorted(names) || len(slices.Compact(names)) != c.want || slices.Contains(names, "t05") {
				t.Errorf("order %d of %d: %v", c.order, c.manifest, names)
			}
		}
	})
}

package meta_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
)

// litter lists the keys of all objects that are to be removed.
func litter(t *testing.T, db *meta.DB, c *clock) (keys []string) {
	t.Helper()
	look(t, db, func(tx *meta.Tx) error {
		objects, err := tx.LitterBefore(c.Now().Add(time.Hour), "", 1<<20)
		for _, o := range objects {
			keys = append(keys, o.Key)
		}
		slices.Sort(keys)
		return err
	})
	return keys
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	c := newClock()
	metatest.EachWith(t, meta.Options{Now: c.Now}, func(t *testing.T, db *meta.DB) {
		registry, other := newRegistry(t, db, "demo"), newRegistry(t, db, "other")
		d := digestOf("blob")
		update(t, db, func(tx *meta.Tx) error {
			if added, err := addMember(tx, registry, "app", d); added || err != nil {
				t.Errorf("a member without a blob: %t, %v", added, err)
			}
			if err := putBlob(tx, registry, d, 42, "first"); err != nil {
				return err
			}
			added, err := addMember(tx, registry, "app", d)
			if !added {
				t.Error("not added")
			}
			return err
		})
		look(t, db, func(tx *meta.Tx) error {
			b, found, err := tx.Blob(registry, "app", d)
			if !found || err != nil || b.Digest != d || b.Size != 42 || b.Object != "first" || b.Idle != c.Now().UnixMicro() {
				t.Errorf("got %+v, %t, %v", b, found, err)
			}
			for _, miss := range []struct {
				registry int64
				repo     string
				d        oci.Digest
			}{{other, "app", d}, {registry, "other", d}, {registry, "app", digestOf("other")}} {
				if _, found, err := tx.Blob(miss.registry, miss.repo, miss.d); found || err != nil {
					t.Errorf("%v was found: %v", miss, err)
				}
			}
			if has, err := tx.HasBlob(registry, d, "first"); !has || err != nil {
				t.Errorf("the row's object: %t, %v", has, err)
			}
			has, err := tx.HasBlob(registry, d, "second")
			if has {
				t.Error("the row has an object that it has not")
			}
			return err
		})
		// The same bytes again, under another key and then, as when an answer was lost, under the same.
		for _, object := range []string{"second", "first"} {
			update(t, db, func(tx *meta.Tx) error { return putBlob(tx, registry, d, 42, object) })
		}
		update(t, db, func(tx *meta.Tx) error { return putBlob(tx, other, d, 42, "third") })
		if got := litter(t, db, c); !slices.Equal(got, []string{"second"}) {
			t.Errorf("litter is %q; the row's own object must not be, the second must", got)
		}
		look(t, db, func(tx *meta.Tx) error {
			for object, want := range map[string]bool{"first": true, "second": true, "third": true, "fourth": false} {
				if knows, err := tx.Knows(object); knows != want || err != nil {
					t.Errorf("%s is known: %t, %v", object, knows, err)
				}
			}
			return nil
		})
	})
}

func TestIdleMarks(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			db := metatest.Open(t, store(t), meta.Options{Now: c.Now})
			registry, repository := newRepository(t, db, "app")
			d := digestOf("blob")
			member := func() {
				update(t, db, func(tx *meta.Tx) error { _, err := addMember(tx, registry, "app", d); return err })
			}
			check := func(when string, want time.Time) {
				t.Helper()
				look(t, db, func(tx *meta.Tx) error {
					b, _, err := tx.Blob(registry, "app", d)
					if want.IsZero() && b.Idle != 0 || !want.IsZero() && b.Idle != want.UnixMicro() {
						t.Errorf("%s: idle since %d, want %v", when, b.Idle, want)
					}
					return err
				})
			}
			update(t, db, func(tx *meta.Tx) error { return putBlob(tx, registry, d, 7, "object") })
			member()
			check("added", c.Now())
			member()
			check("added again", c.forward(0))
			c.forward(time.Minute)
			member()
			check("added a minute later", c.Now())
			c.forward(time.Minute)
			update(t, db, func(tx *meta.Tx) error {
				if touched, err := tx.Touch(registry, "app", d); !touched || err != nil {
					t.Errorf("touched %t: %v", touched, err)
				}
				touched, err := tx.Touch(registry, "other", d)
				if touched {
					t.Error("touched where it is not")
				}
				return err
			})
			check("touched", c.Now())
			update(t, db, func(tx *meta.Tx) error {
				if found, err := tx.Name(repository, d); !found || err != nil {
					t.Errorf("named %t: %v", found, err)
				}
				found, err := tx.Name(repository, digestOf("other"))
				if found {
					t.Error("a blob that is no member was named")
				}
				return err
			})
			check("named", time.Time{})
			c.forward(time.Minute)
			member()
			check("added when named", time.Time{})
			update(t, db, func(tx *meta.Tx) error {
				touched, err := tx.Touch(registry, "app", d)
				if touched {
					t.Error("a named blob was touched")
				}
				return err
			})
			check("touched when named", time.Time{})
		})
	}
}

func TestDeleteMember(t *testing.T) {
	t.Parallel()
	c := newClock()
	metatest.EachWith(t, meta.Options{Now: c.Now}, func(t *testing.T, db *meta.DB) {
		registry, app := newRepository(t, db, "app")
		other := newRegistry(t, db, "other")
		d := digestOf("blob")
		var side int64
		update(t, db, func(tx *meta.Tx) (err error) {
			if err := putBlob(tx, registry, d, 7, "object"); err != nil {
				return err
			}
			if err := putBlob(tx, other, d, 7, "others object"); err != nil {
				return err
			}
			for _, at := range []struct {
				registry int64
				repo     string
			}{{registry, "app"}, {registry, "side"}, {other, "app"}} {
				if _, err := addMember(tx, at.registry, at.repo, d); err != nil {
					return err
				}
			}
			side, err = tx.MakeRepository(registry, "side")
			return err
		})
		look(t, db, func(tx *meta.Tx) error {
			with, err := tx.RepositoriesWith(registry, d, 10)
			if slices.Sort(with); !slices.Equal(with, []string{"app", "side"}) {
				t.Errorf("repositories with it: %q", with)
			}
			one, err2 := tx.RepositoriesWith(registry, d, 1)
			if len(one) != 1 || err2 != nil {
				t.Errorf("one of them: %q, %v", one, err2)
			}
			members, err3 := tx.Members(app, 10)
			if !slices.Equal(members, []oci.Digest{d}) || err3 != nil {
				t.Errorf("members %q, %v", members, err3)
			}
			return err
		})
		remove := func(repository int64) (found bool) {
			change(t, db, registry, func(tx *meta.Tx) (err error) {
				found, err = tx.DeleteMember(registry, repository, d)
				return err
			})
			return found
		}
		if !remove(app) || remove(app) {
			t.Error("it was not found, or found again")
		}
		if got := litter(t, db, c); len(got) > 0 {
			t.Errorf("%q is litter, and a repository has it still", got)
		}
		if !remove(side) {
			t.Error("it was not found")
		}
		if got := litter(t, db, c); !slices.Equal(got, []string{"object"}) {
			t.Errorf("litter is %q", got)
		}
		look(t, db, func(tx *meta.Tx) error {
			if _, found, err := tx.Blob(other, "app", d); !found || err != nil {
				t.Errorf("another registry lost it: %v", err)
			}
			left, err := tx.Blobs(registry, "", 10)
			if len(left) > 0 {
				t.Errorf("the registry still has %v", left)
			}
			return err
		})
	})
}

// idleBlobs makes five blobs of 100 bytes, a minute apart, in the repository app.
func idleBlobs(t *testing.T, db *meta.DB, c *clock, registry int64) (digests []oci.Digest) {
	t.Helper()
	for i := range 5 {
		d := digestOf(fmt.Sprint(i))
		digests = append(digests, d)
		update(t, db, func(tx *meta.Tx) error {
			if err := putBlob(tx, registry, d, 100, fmt.Sprint("object", i)); err != nil {
				return err
			}
			_, err := addMember(tx, registry, "app", d)
			return err
		})
		c.forward(time.Minute)
	}
	return digests
}

func TestCollect(t *testing.T) {
	t.Parallel()
	eachWithClock(t, func(t *testing.T, db *meta.DB, c *clock) {
		registry, repository := newRepository(t, db, "app")
		digests := idleBlobs(t, db, c, registry)
		before := c.Now().Add(-time.Minute) // the last is too young
		update(t, db, func(tx *meta.Tx) error { _, err := tx.Name(repository, digests[0]); return err })
		var idle []meta.Idle
		look(t, db, func(tx *meta.Tx) (err error) {
			idle, err = tx.IdleMembers(before, 2)
			if len(idle) != 2 || idle[0].Digest != digests[1] || idle[1].Digest != digests[2] || err != nil {
				t.Errorf("the two oldest are %+v: %v", idle, err)
			}
			idle, err = tx.IdleMembers(before, 10)
			return err
		})
		if len(idle) != 3 || idle[0].Name != "app" || idle[0].Registry != registry || idle[0].Repository != repository || idle[0].Size != 100 {
			t.Fatalf("idle are %+v", idle)
		}
		// Between finding and taking, one is named and one is touched.
		update(t, db, func(tx *meta.Tx) error {
			if _, err := tx.Name(repository, digests[2]); err != nil {
				return err
			}
			_, err := tx.Touch(registry, "app", digests[3])
			return err
		})
		for i, want := range []bool{true, false, false} {
			change(t, db, registry, func(tx *meta.Tx) error {
				gone, err := tx.CollectMember(idle[i])
				if gone != want {
					t.Errorf("%d was collected: %t", i, gone)
				}
				return err
			})
		}
		if got := litter(t, db, c); !slices.Equal(got, []string{"object1"}) {
			t.Errorf("litter is %q", got)
		}
	})
}

func TestPending(t *testing.T) {
	t.Parallel()
	eachWithClock(t, func(t *testing.T, db *meta.DB, c *clock) {
		pending := func(wantLitter, wantObjects, wantIdle int64) {
			t.Helper()
			look(t, db, func(tx *meta.Tx) error {
				bytes, objects, idle, err := tx.Pending()
				if bytes != wantLitter || objects != wantObjects || idle != wantIdle {
					t.Errorf("pending are %d bytes in %d objects and %d idle bytes", bytes, objects, idle)
				}
				return err
			})
		}
		pending(0, 0, 0)
		registry, repository := newRepository(t, db, "app")
		digests := idleBlobs(t, db, c, registry)
		pending(0, 0, 500)
		update(t, db, func(tx *meta.Tx) error { _, err := tx.Name(repository, digests[0]); return err })
		pending(0, 0, 400)
		change(t, db, registry, func(tx *meta.Tx) error {
			_, err := tx.DeleteMember(registry, repository, digests[1])
			return err
		})
		pending(100, 1, 300)
		update(t, db, func(tx *meta.Tx) error {
			if err := tx.Litter("object1", 100); err != nil { // noted twice is noted once
				return err
			}
			return tx.Litter("more", 11)
		})
		pending(111, 2, 300)
		look(t, db, func(tx *meta.Tx) error {
			old, err := tx.LitterBefore(c.Now(), "", 10)
			if len(old) != 0 {
				t.Errorf("litter of this moment is older than it: %v", old)
			}
			return err
		})
		look(t, db, func(tx *meta.Tx) error {
			first, err := tx.LitterBefore(c.Now().Add(time.Second), "", 1)
			if err != nil {
				return err
			}
			rest, err := tx.LitterBefore(c.Now().Add(time.Second), "more", 10)
			if !slices.Equal(first, []meta.Object{{Key: "more", Size: 11}}) || !slices.Equal(rest, []meta.Object{{Key: "object1", Size: 100}}) {
				t.Errorf("pages of litter are %v and %v", first, rest)
			}
			return err
		})
		for _, key := range litter(t, db, c) {
			update(t, db, func(tx *meta.Tx) error { return tx.Swept(key) })
		}
		pending(0, 0, 300)
	})
}

// A blob that comes after the manifest that names it is named from its first moment: one that was deleted and pushed
// again, or a layer that may live elsewhere.
func TestNamedBeforeItCame(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			db := metatest.Open(t, store(t), meta.Options{Now: c.Now})
			registry, repository := newRepository(t, db, "app")
			d := digestOf("blob")
			change(t, db, registry, func(tx *meta.Tx) error {
				_, err := tx.PutManifest(meta.Manifest{Repository: repository, Digest: digestOf("manifest"), Body: []byte("{}")}, []oci.Digest{d})
				return err
			})
			update(t, db, func(tx *meta.Tx) error {
				if err := putBlob(tx, registry, d, 7, "object"); err != nil {
					return err
				}
				if _, err := addMember(tx, registry, "side", d); err != nil {
					return err
				}
				_, err := addMember(tx, registry, "app", d)
				return err
			})
			c.forward(time.Hour)
			look(t, db, func(tx *meta.Tx) error {
				b, _, err := tx.Blob(registry, "app", d)
				if b.Idle != 0 || err != nil {
					t.Errorf("idle since %d: %v", b.Idle, err)
				}
				idle, err := tx.IdleMembers(c.Now(), 10)
				if len(idle) != 1 || idle[0].Name != "side" {
					t.Errorf("idle are %+v", idle)
				}
				return err
			})
			change(t, db, registry, func(tx *meta.Tx) error {
				gone, err := tx.CollectMember(meta.Idle{Registry: registry, Repository: repository, Digest: d})
				if gone {
					t.Error("a blob that a manifest names was collected")
				}
				return err
			})
		})
	}
}

// An object that is about to be removed does not become a blob, and one that is a blob does not become litter.
func TestLitterIsNoBlob(t *testing.T) {
	t.Parallel()
	c := newClock()
	metatest.EachWith(t, meta.Options{Now: c.Now}, func(t *testing.T, db *meta.DB) {
		registry := newRegistry(t, db, "demo")
		orphan := func(object string, want bool) {
			t.Helper()
			update(t, db, func(tx *meta.Tx) error {
				noted, err := tx.LitterOrphan(object, 7)
				if noted != want {
					t.Errorf("%s was noted: %t", object, noted)
				}
				return err
			})
		}
		orphan("lost", true)
		orphan("lost", false)
		put := func(tx *meta.Tx) error { return putBlob(tx, registry, digestOf("blob"), 7, "lost") }
		if err := db.Update(t.Context(), put); !errors.Is(err, fault.UploadUnknown) {
			t.Errorf("a blob of litter: %v", err)
		}
		update(t, db, func(tx *meta.Tx) error { return putBlob(tx, registry, digestOf("blob"), 7, "object") })
		orphan("object", false)
		if err := db.Update(t.Context(), put); !errors.Is(err, fault.UploadUnknown) {
			t.Errorf("a blob again, of litter: %v", err)
		}
		// As two nodes can bring it about in the same moment.
		update(t, db, func(tx *meta.Tx) error { return tx.Litter("object", 7) })
		if got := litter(t, db, c); !slices.Equal(got, []string{"lost"}) {
			t.Errorf("litter is %q", got)
		}
	})
}

func TestBlobPages(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		registry := newRegistry(t, db, "demo")
		var want []oci.Digest
		update(t, db, func(tx *meta.Tx) error {
			for i := range 20 {
				want = append(want, digestOf(fmt.Sprint(i)))
				if err := putBlob(tx, registry, want[i], int64(i), fmt.Sprint("object", i)); err != nil {
					return err
				}
			}
			return nil
		})
		slices.Sort(want)
		look(t, db, func(tx *meta.Tx) error {
			var got []oci.Digest
			for after := ""; ; after = string(got[len(got)-1]) {
				page, err := tx.Blobs(registry, after, 6)
				if err != nil {
					return err
				}
				for _, b := range page {
					if b.Object == "" {
						t.Errorf("%s has no object", b.Digest)
					}
					got = append(got, b.Digest)
				}
				if len(page) < 6 {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			return nil
		})
	})
}

// contest is few blobs that many push, mount and collect at once.
type contest struct {
	db                          *meta.DB
	registry                    int64
	objects, collected, mounted atomic.Int64
}

// What the contest is about.
var contestRepos = []string{"a", "b"}

const contestKinds = 3

// push does what a push does: the row of the bytes and the membership in one Update.
func (c *contest) push(i, n int) error {
	d, repo := digestOf(fmt.Sprint("blob", n%contestKinds)), contestRepos[i%len(contestRepos)]
	c.objects.Add(1)
	return c.db.Update(context.Background(), func(tx *meta.Tx) error {
		if err := putBlob(tx, c.registry, d, 1, fmt.Sprintf("object-%d-%d", i, n)); err != nil {
			return err
		}
		added, err := addMember(tx, c.registry, repo, d)
		if err == nil && !added {
			err = fmt.Errorf("%s went between the two statements", d)
		}
		return err
	})
}

// mount makes a blob, which may be there or not, another repository's.
func (c *contest) mount(i, n int) error {
	return c.db.Update(context.Background(), func(tx *meta.Tx) error {
		added, err := addMember(tx, c.registry, contestRepos[(i+n)%len(contestRepos)], digestOf(fmt.Sprint("blob", n%contestKinds)))
		if added {
			c.mounted.Add(1)
		}
		return err
	})
}

func (c *contest) collect() error {
	var idle []meta.Idle
	if err := c.db.Look(context.Background(), func(tx *meta.Tx) (err error) {
		idle, err = tx.IdleMembers(c.db.Now().Add(time.Hour), 100)
		return err
	}); err != nil {
		return err
	}
	return c.db.Change(context.Background(), c.registry, func(tx *meta.Tx) error {
		for _, i := range idle {
			gone, err := tx.CollectMember(i)
			if err != nil {
				return err
			}
			if gone {
				c.collected.Add(1)
			}
		}
		return nil
	})
}

// check holds what is left against what was written.
func (c *contest) check(t *testing.T, tx *meta.Tx) error {
	blobs, err := tx.Blobs(c.registry, "", 1000)
	if err != nil {
		return err
	}
	there := map[oci.Digest]string{}
	for _, b := range blobs {
		there[b.Digest] = b.Object
		if with, err := tx.RepositoriesWith(c.registry, b.Digest, 1); len(with) == 0 || err != nil {
			t.Errorf("no repository has %s, and it was not dropped: %v", b.Digest, err)
		}
	}
	for _, repo := range contestRepos {
		r, err := tx.Repository(c.registry, repo)
		if err != nil {
			return err
		}
		members, err := tx.Members(r.ID, 1000)
		if err != nil {
			return err
		}
		for _, d := range members {
			if there[d] == "" {
				t.Errorf("%s has %s, which is not there", repo, d)
			}
		}
	}
	waste, err := tx.LitterBefore(c.db.Now().Add(time.Hour), "", 1<<20)
	if got := int64(len(waste) + len(blobs)); got != c.objects.Load() {
		t.Errorf("%d objects are a blob's or litter, %d were written", got, c.objects.Load())
	}
	return err
}

// TestPushAgainstCollection has many goroutines bring few blobs in and name them, while others collect what is idle.
// In the end no repository has a blob that is not there, and every object that was ever written is a blob's or litter.
func TestPushAgainstCollection(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		c := contest{db: db, registry: newRegistry(t, db, "demo")}
		err := together(16, func(i int) error {
			for n := range 25 {
				var err error
				switch {
				case i%4 == 0:
					err = c.collect()
				case i%4 == 1:
					err = c.mount(i, n)
				default:
					err = c.push(i, n)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if c.collected.Load() == 0 || c.mounted.Load() == 0 {
			t.Errorf("nothing was in each other's way: %d collected, %d mounted", c.collected.Load(), c.mounted.Load())
		}
		look(t, db, func(tx *meta.Tx) error { return c.check(t, tx) })
	})
}

// A blob whose bytes are in its row goes with it; an object beside it is litter.
func TestSmallBlobs(t *testing.T) {
	t.Parallel()
	eachWithClock(t, func(t *testing.T, db *meta.DB, c *clock) {
		registry, repository := newRepository(t, db, "app")
		bodies := [][]byte{nil, {0}, bytes.Repeat([]byte{0, 1, 255}, 2000)}
		digests := make([]oci.Digest, len(bodies))
		for i, body := range bodies {
			digests[i] = digestOf(string(body))
			for _, object := range []string{"", "", fmt.Sprint("object", i)} { // the last as if it were large elsewhere
				update(t, db, func(tx *meta.Tx) error {
					kept, err := tx.PutBlob(registry, digests[i], int64(len(body)), object, body)
					if kept != "" {
						t.Errorf("put of %d bytes: the row names %q", len(body), kept)
					}
					if err == nil {
						_, err = addMember(tx, registry, "app", digests[i])
					}
					return err
				})
			}
			look(t, db, func(tx *meta.Tx) error {
				b, found, err := tx.Blob(registry, "app", digests[i])
				if !found || b.Object != "" || b.Size != int64(len(body)) || !bytes.Equal(b.Body, body) {
					t.Errorf("found %t: %+v, %v", found, b, err)
				}
				got, found, err := tx.BlobBody(registry, digests[i])
				if !found || !bytes.Equal(got, body) {
					t.Errorf("the body alone: %t, %d bytes", found, len(got))
				}
				return err
			})
		}
		if got := litter(t, db, c); !slices.Equal(got, []string{"object0", "object1", "object2"}) {
			t.Errorf("litter is %q", got)
		}
		large := digestOf("large")
		update(t, db, func(tx *meta.Tx) error { return putBlob(tx, registry, large, 9, "object") })
		look(t, db, func(tx *meta.Tx) error {
			if _, found, err := tx.BlobBody(registry, large); found || err != nil {
				t.Errorf("the body of an object: %t, %v", found, err)
			}
			list, err := tx.Blobs(registry, "", 10)
			for _, b := range list {
				if b.Body != nil || (b.Object != "") != (b.Digest == large) {
					t.Errorf("listed as %+v", b)
				}
			}
			if len(list) != len(bodies)+1 {
				t.Errorf("%d are listed", len(list))
			}
			return err
		})
		for _, d := range digests {
			update(t, db, func(tx *meta.Tx) error {
				if found, err := tx.DeleteMember(registry, repository, d); !found || err != nil {
					t.Errorf("delete: %t, %v", found, err)
				}
				_, found, err := tx.BlobBody(registry, d)
				if found {
					t.Error("its row stayed")
				}
				return err
			})
		}
		if got := litter(t, db, c); len(got) != len(bodies) {
			t.Errorf("litter is %q after the rows have gone", got)
		}
	})
}

func putBlob(tx *meta.Tx, registry int64, d oci.Digest, size int64, object string) error {
	_, err := tx.PutBlob(registry, d, size, object, nil)
	return err
}

func addMember(tx *meta.Tx, registry int64, repo string, d oci.Digest) (bool, error) {
	_, added, err := tx.AddMember(registry, repo, d)
	return added, err
}

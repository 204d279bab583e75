package meta_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// note is an acr.Resource.
type note struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func (note) ResourceType() string { return "registries/notes" }

func (n note) Validate() error {
	if n.Name == "" {
		return fault.New(fault.Invalid, "a note needs a name")
	}
	return nil
}

func noteID(name string) arm.ID {
	id := arm.Registry("sub", "acre", "demo")
	id.Types, id.Names = append(id.Types, "notes"), append(id.Names, name)
	return id
}

func TestResources(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		ctx := context.Background()
		put := func(name string, n note, version int64) error {
			return db.Update(ctx, func(tx *meta.Tx) error { return meta.Put(tx, noteID(name), n, version) })
		}
		for _, step := range []struct {
			name    string
			n       note
			version int64
			want    error
		}{
			{"A", note{"A", 1}, 0, nil},
			{"a", note{"a", 2}, 0, fault.Exists}, // IDs are compared without regard to case
			{"a", note{"a", 2}, 1, nil},
			{"A", note{"A", 3}, 1, fault.Precondition},
			{"A", note{"A", 3}, 2, nil},
			{"b", note{"b", 1}, 1, fault.Precondition},
			{"b", note{}, 0, fault.Invalid},
			{"b", note{"b", 1}, 0, nil},
		} {
			if err := put(step.name, step.n, step.version); !errors.Is(err, step.want) {
				t.Errorf("put %v over version %d: %v, want %v", step.n, step.version, err, step.want)
			}
		}
		look(t, db, func(tx *meta.Tx) error {
			n, version, err := meta.Get[note](tx, noteID("a"))
			if n != (note{"A", 3}) || version != 3 || err != nil {
				t.Errorf("got %v, version %d: %v", n, version, err)
			}
			_, _, err = meta.Get[note](tx, noteID("c"))
			if !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "registries/notes c") {
				t.Errorf("one that is not there: %v", err)
			}
			all, err := meta.List[note](tx, "", 10)
			if len(all) != 2 || all[0].Name != "A" || all[1].Name != "b" {
				t.Errorf("listed %v", all)
			}
			page, err2 := meta.List[note](tx, noteID("A").Key(), 1)
			if len(page) != 1 || page[0].Name != "b" {
				t.Errorf("after A comes %v", page)
			}
			return errors.Join(err, err2)
		})
		for _, want := range []bool{true, false} {
			update(t, db, func(tx *meta.Tx) error {
				existed, err := meta.Delete(tx, noteID("A"))
				if existed != want {
					t.Errorf("existed %t, want %t", existed, want)
				}
				return err
			})
		}
	})
}

// TestCompareAndSwap counts up from many goroutines; none of the steps may be lost.
func TestCompareAndSwap(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		ctx := context.Background()
		update(t, db, func(tx *meta.Tx) error { return meta.Put(tx, noteID("n"), note{"n", 0}, 0) })
		var lost atomic.Int64
		const workers, each = 8, 5
		err := together(workers, func(int) error {
			for done := 0; done < each; {
				var n note
				var version int64
				err := db.Look(ctx, func(tx *meta.Tx) (err error) {
					n, version, err = meta.Get[note](tx, noteID("n"))
					return err
				})
				if err != nil {
					return err
				}
				n.Count++
				err = db.Update(ctx, func(tx *meta.Tx) error { return meta.Put(tx, noteID("n"), n, version) })
				switch {
				case err == nil:
					done++
				case errors.Is(err, fault.Precondition):
					lost.Add(1)
				default:
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		look(t, db, func(tx *meta.Tx) error {
			n, version, err := meta.Get[note](tx, noteID("n"))
			if n.Count != workers*each || version != workers*each+1 {
				t.Errorf("counted %d, version %d (%d met another)", n.Count, version, lost.Load())
			}
			return err
		})
		// Of many that make one name, one does.
		var made atomic.Int64
		err = together(workers, func(i int) error {
			err := db.Update(ctx, func(tx *meta.Tx) error { return meta.Put(tx, noteID("new"), note{fmt.Sprint(i), 0}, 0) })
			if err == nil {
				made.Add(1)
			} else if !errors.Is(err, fault.Exists) {
				return err
			}
			return nil
		})
		if err != nil || made.Load() != 1 {
			t.Errorf("made by %d: %v", made.Load(), err)
		}
	})
}

// keyed is a note that is found by its path.
type keyed struct {
	note
	Path string `json:"path"`
}

func (k keyed) Keys() []string { return []string{"at:" + k.Path} }

// What lies below a parent goes with it, whatever its type, and nothing beside it; keys are found by path.
func TestUnder(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		ctx := context.Background()
		one, two := arm.Registry("sub", "acre", "one"), arm.Registry("sub", "acre", "one0")
		err := db.Update(ctx, func(tx *meta.Tx) error {
			return errors.Join(
				meta.Put(tx, one, keyed{note{"one", 1}, "/"}, 0), meta.Put(tx, two, keyed{note{"two", 1}, "/a"}, 0),
				meta.Put(tx, one.Child("notes", "x"), keyed{note{"x", 1}, "/a/b"}, 0), meta.Put(tx, one.Child("notes", "y"), keyed{note{"y", 1}, "/ab"}, 0),
				meta.Put(tx, two.Child("notes", "z"), keyed{note{"z", 1}, "/a/b/c"}, 0))
		})
		if err != nil {
			t.Fatal(err)
		}
		found := func(key string) string {
			var names []string
			if err := db.Look(ctx, func(tx *meta.Tx) error {
				list, err := meta.FindUnder[keyed](tx, key, "", 10)
				names = nil
				for _, k := range list {
					names = append(names, k.Name)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return strings.Join(names, " ")
		}
		for key, want := range map[string]string{"at:/": "one x y two z", "at:/a": "x two z", "at:/a/b": "x z", "at:/c": "", "at": ""} {
			if got := found(key); got != want {
				t.Errorf("below %s: %q, want %q", key, got, want)
			}
		}
		if err := db.Update(ctx, func(tx *meta.Tx) error {
			n, err := meta.DeleteUnder(tx, one.String())
			if n != 2 {
				t.Errorf("%d went", n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if got := found("at:/"); got != "one two z" {
			t.Errorf("left: %q", got)
		}
	})
}

// A name that a registry gave up is free again, and leads to another row.
func TestRetireRegistry(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		if err := db.Update(context.Background(), func(tx *meta.Tx) error {
			first, err := tx.CreateRegistry("demo")
			if err != nil {
				return err
			}
			gone, err := tx.RetireRegistry("demo", "deleted/1")
			if err != nil || gone != first {
				t.Errorf("retired %d of %d, %v", gone, first, err)
			}
			if none, err := tx.RetireRegistry("demo", "deleted/2"); err != nil || none != 0 {
				t.Errorf("retired %d, %v", none, err)
			}
			second, err := tx.CreateRegistry("demo")
			if second == first {
				t.Error("the row is taken again")
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
}

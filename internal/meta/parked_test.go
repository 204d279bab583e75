package meta_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// label is an acr.Resource that is found by its color, and a path of colors.
type label struct {
	Name  string `json:"name"`
	Color string `json:"color"`
}

func (label) ResourceType() string { return "labels" }
func (label) Validate() error      { return nil }
func (l label) Keys() []string     { return []string{"color:" + l.Color} }

func labelID(name string) arm.ID { return arm.Tenant("Acre", "labels", name) }

func TestPark(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		update := func(fn func(tx *meta.Tx) error) error { return db.Update(context.Background(), fn) }
		must := func(fn func(tx *meta.Tx) error) {
			t.Helper()
			if err := update(fn); err != nil {
				t.Fatal(err)
			}
		}
		// state is what can be found.
		state := func() (out []string) {
			t.Helper()
			must(func(tx *meta.Tx) error {
				out = nil
				notes, err := meta.ListUnder[note](tx, arm.Registry("sub", "acre", "demo").String(), "", 10)
				for _, n := range notes {
					_, version, err := meta.Get[note](tx, noteID(n.Name))
					if err != nil {
						return err
					}
					out = append(out, n.Name+strings.Repeat("+", int(version)))
				}
				all, err2 := meta.List[label](tx, "", 10)
				for _, l := range all {
					out = append(out, l.Name)
				}
				red, err3 := meta.FindUnder[label](tx, "color:red", "", 10)
				for _, l := range red {
					out = append(out, "red "+l.Name)
				}
				return errors.Join(err, err2, err3)
			})
			return out
		}
		must(func(tx *meta.Tx) error {
			return errors.Join(
				meta.Put(tx, noteID("a"), note{"a", 1}, 0), meta.Put(tx, noteID("b"), note{"b", 1}, 0), meta.Put(tx, noteID("b"), note{"b", 2}, 1),
				meta.Put(tx, labelID("x"), label{"x", "red"}, 0), meta.Put(tx, labelID("y"), label{"y", "red/dark"}, 0), meta.Put(tx, labelID("z"), label{"z", "redder"}, 0))
		})
		before := []string{"a+", "b++", "x", "y", "z", "red x", "red y"}
		if diff := cmp.Diff(before, state()); diff != "" {
			t.Fatalf("before: %s", diff)
		}
		must(func(tx *meta.Tx) error {
			n, err := meta.ParkUnder(tx, "one", arm.Registry("sub", "acre", "demo").String())
			m, err2 := meta.ParkKeyed[label](tx, "one", "color:red")
			if n != 2 || m != 2 {
				t.Errorf("parked %d notes and %d labels", n, m)
			}
			return errors.Join(err, err2)
		})
		if diff := cmp.Diff([]string{"z"}, state()); diff != "" {
			t.Errorf("parked: %s", diff)
		}
		must(func(tx *meta.Tx) error { return meta.Put(tx, labelID("x"), label{"x", "blue"}, 0) })
		err := update(func(tx *meta.Tx) error { return meta.Unpark(tx, "one") })
		if !errors.Is(err, fault.Exists) || !strings.Contains(err.Error(), labelID("x").Key()) {
			t.Errorf("onto what is taken: %v", err)
		}
		if diff := cmp.Diff([]string{"x", "z"}, state()); diff != "" {
			t.Errorf("after a refusal: %s", diff)
		}
		must(func(tx *meta.Tx) error {
			_, err := meta.Delete(tx, labelID("x"))
			return errors.Join(err, meta.Unpark(tx, "one"))
		})
		if diff := cmp.Diff(before, state()); diff != "" {
			t.Errorf("brought back: %s", diff)
		}
		must(func(tx *meta.Tx) error {
			_, err := meta.ParkUnder(tx, "two", arm.Registry("sub", "acre", "demo").String())
			return errors.Join(err, meta.DropParked(tx, "two"), meta.Unpark(tx, "two"))
		})
		if diff := cmp.Diff([]string{"x", "y", "z", "red x", "red y"}, state()); diff != "" {
			t.Errorf("dropped: %s", diff)
		}
	})
}

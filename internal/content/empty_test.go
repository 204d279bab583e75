package content_test

import (
	"errors"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Of a registry that was deleted nothing remains, and another of the same name has none of it.
func TestEmpty(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		for _, repo := range []string{"app", "team/other"} {
			w.image(repo, "v1", w.push(repo, long("config of "+repo)))
		}
		if err := w.s.Empty(admin(w.t.Context()), w.registry); !errors.Is(err, fault.Denied) {
			w.t.Errorf("by the admin user: %v", err)
		}
		err := w.db.Update(w.t.Context(), func(tx *meta.Tx) error {
			if _, err := tx.RetireRegistry("acre", "deleted/1"); err != nil {
				return err
			}
			_, err := tx.CreateRegistry("acre")
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
		for range 2 { // it may be called again
			if err := w.s.Empty(auth.As(w.t.Context(), auth.System("test")), w.registry); err != nil {
				w.t.Fatal(err)
			}
		}
		w.forward(content.DefaultGrace + time.Second)
		w.collect(content.CollectOptions{})
		w.forward(2 * time.Minute)
		w.collect(content.CollectOptions{})
		if left := w.objects(); len(left) > 0 {
			w.t.Errorf("objects are left: %v", left)
		}
		w.clean()
	})
}

package resource

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// scripted is an importer that does what a test says.
type scripted struct {
	denied error
	do     func(job ImportJob) error
}

func (s *scripted) MayPull(context.Context, *auth.Registry, acr.Scope) error { return s.denied }

func (s *scripted) Import(_ context.Context, job ImportJob) error { return s.do(job) }

func imports(image string) acr.Import {
	return acr.Import{Source: acr.ImportSource{Host: "far.example", Image: image, Username: "robot", Password: "s3cret"}, Tags: []string{"app:v1"}}
}

// An import is an operation that keeps its request, its secret sealed and apart, and how far it came; what it came to is told
// in words that no client tries again for.
func TestImportIsAnOperation(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		by := &scripted{}
		s, ctx, _ := workshop(t, db, Options{Importer: by})
		id := s.RegistryID("alpha")
		secret := func(o acr.Operation) string {
			var text string
			err := db.View(ctx, func(tx *meta.Tx) error {
				kept, err := tx.Secret(o.SecretName())
				text = string(kept.Value)
				if errors.Is(err, fault.NotFound) {
					return nil
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		o, err := s.ImportImage(ctx, id, imports("app:v1"))
		if err != nil || o.Status != acr.Running || strings.Contains(string(o.Args), "s3cret") || secret(o) != "s3cret" {
			t.Fatalf("%+v, %v", o, err)
		}
		args := []byte(`{"name":"` + o.Name + `"}`)

		// It dies on the way, and goes on with what it knew.
		by.do = func(job ImportJob) error {
			if job.Source.Password != "s3cret" || job.Source.Username != "robot" || job.To.Key != "alpha" || job.Before.Checked {
				t.Errorf("%+v", job)
			}
			job.Progress(acr.ImportProgress{Checked: true, Images: 3})
			return errors.New("the store is away")
		}
		if err := s.RunOperation(ctx, args); err == nil {
			t.Error("it is taken for done")
		}
		by.do = func(job ImportJob) error {
			if !job.Before.Checked {
				t.Errorf("%+v", job.Before)
			}
			job.Progress(acr.ImportProgress{Checked: true, Images: 3, Copied: 3})
			return nil
		}
		if err := s.RunOperation(ctx, args); err != nil {
			t.Error(err)
		}
		if o, err = s.Operation(ctx, o.Name); err != nil || o.Status != acr.Succeeded || o.Progress.Copied != 3 || secret(o) != "" {
			t.Errorf("%+v, %v", o, err)
		}

		for _, tt := range []struct {
			with error
			kind fault.Kind
			code string
		}{
			{fault.New(fault.Unavailable, "away"), fault.Invalid, "ImportFailed"},
			{fault.New(fault.Full, "full"), fault.Disallowed, "InsufficientStorage"},
			{fault.New(fault.Exists, "taken"), fault.Exists, ""},
		} {
			by.do = func(ImportJob) error { return tt.with }
			if o, err = s.ImportImage(ctx, id, imports("app:v1")); err != nil {
				t.Fatal(err)
			}
			if err := s.RunOperation(ctx, []byte(`{"name":"`+o.Name+`"}`)); err != nil {
				t.Error(err)
			}
			if o, err = s.Operation(ctx, o.Name); err != nil || o.Status != acr.Failed || !errors.Is(o.Failure.Err(), tt.kind) || o.Failure.Code != tt.code {
				t.Errorf("%+v, %v; want %v %s", o.Failure, err, tt.kind, tt.code)
			}
		}
	})
}

// What an import is refused with before it begins.
func TestImportRefused(t *testing.T) {
	t.Parallel()
	metatest.Each(t, func(t *testing.T, db *meta.DB) {
		by := &scripted{}
		s, ctx, _ := workshop(t, db, Options{Importer: by})
		id := s.RegistryID("alpha")
		within := func(name string) acr.Import {
			in := imports("app:v1")
			in.Source = acr.ImportSource{Registry: s.RegistryID(name).String(), Image: "app:v1"}
			return in
		}
		closed := func(edit func(r *acr.Registry)) {
			if _, _, err := s.Registries.Put(ctx, s.RegistryID("source"), UpdateOnly, func(r *acr.Registry, _ bool) error { edit(r); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.CreateRegistry(ctx, "source", Settings{}); err != nil {
			t.Fatal(err)
		}
		refused := func(in acr.Import, kind error, text string) {
			t.Helper()
			if o, err := s.ImportImage(ctx, id, in); !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
				t.Errorf("%+v, %v; want %v, %q", o, err, kind, text)
			}
		}
		refused(acr.Import{}, fault.Invalid, "sourceImage")
		refused(within("nobodys"), fault.NotFound, "nobodys")
		by.denied = fault.New(fault.Denied, "no")
		refused(within("source"), linkedDenied, "may not pull 'app'")
		by.denied = nil
		closed(func(r *acr.Registry) { r.PublicDisabled = true })
		if _, err := s.ImportImage(ctx, id, within("source")); err != nil {
			t.Errorf("trusted services do not pass: %v", err)
		}
		closed(func(r *acr.Registry) { r.BypassNone = true })
		refused(within("source"), fault.Blocked, "allow trusted services")
		closed(func(r *acr.Registry) { r.Policies.ExportOff = true })
		refused(within("source"), exportsDisabled, "export policy is disabled")
		nobody := auth.As(t.Context(), auth.Identity{Name: "robot"})
		if _, err := s.ImportImage(nobody, id, imports("app:v1")); !errors.Is(err, fault.Denied) {
			t.Errorf("%v", err)
		}
	})
}

package audit_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a store with one registry, demo1.
type store struct {
	*meta.DB
	t      *testing.T
	url    string
	number int64
}

// each runs fn on a store of each dialect.
func each(t *testing.T, fn func(s *store)) {
	t.Helper()
	for name, url := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &store{t: t, url: url(t)}
			s.DB = metatest.Open(t, s.url, meta.Options{Actor: auth.Actor})
			if err := s.Update(t.Context(), func(tx *meta.Tx) (err error) {
				s.number, err = tx.CreateRegistry("demo1")
				return err
			}); err != nil {
				t.Fatal(err)
			}
			fn(s)
		})
	}
}

func scope(registry string) string {
	return "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/" + registry
}

// service is a room over the store.
func (s *store) service(opt audit.Options) *audit.Service {
	opt.DB, opt.Scope = s.DB, scope
	return audit.New(opt)
}

// run runs a room while fn hands rows in, and then to its end: all is written when it returns.
func (s *store) run(opt audit.Options, fn func(a *audit.Service)) *audit.Service {
	s.t.Helper()
	a := s.service(opt)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	fn(a)
	stop()
	if err := <-ended; err != nil {
		s.t.Fatal(err)
	}
	return a
}

func reader(ctx context.Context) context.Context { return auth.As(ctx, auth.System("test")) }

// all are a registry's rows, oldest first.
func (s *store) all(registry string) []acr.AuditRow {
	s.t.Helper()
	page, err := s.service(audit.Options{}).Query(reader(s.t.Context()), audit.Query{Registry: registry, Limit: audit.MaxPage})
	if err != nil {
		s.t.Fatal(err)
	}
	rows := page.Rows
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows
}

// verify is what the chains' check finds, as texts.
func (s *store) verify() []string {
	s.t.Helper()
	report, err := s.service(audit.Options{}).Verify(reader(s.t.Context()))
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, c := range report.Chains {
		for _, f := range c.Faults {
			out = append(out, fmt.Sprintf("%s %d: %s", c.Registry, f.Row, f.What))
		}
	}
	if report.OK() != (len(out) == 0) {
		s.t.Errorf("OK is %t of %q", report.OK(), out)
	}
	return out
}

// raw runs SQL behind the store's back.
func (s *store) raw(query string, args ...any) {
	s.t.Helper()
	driver, source := "pgx", s.url
	if path, ok := strings.CutPrefix(s.url, "sqlite://"); ok {
		driver, source = "sqlite", path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

// segment reads the entries that begin at a row.
func (s *store) segment(seq int64) []acr.AuditEntry {
	s.t.Helper()
	var out []acr.AuditEntry
	if err := s.Look(s.t.Context(), func(tx *meta.Tx) error {
		segments, err := tx.AuditAfter(s.number, seq-1, 1)
		if err == nil {
			out, err = acr.AuditEntries(segments[0].Body)
		}
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// append logs an event as content does.
func (s *store) append(e acr.Event) {
	s.t.Helper()
	if err := s.Change(s.t.Context(), s.number, func(tx *meta.Tx) error { return tx.Append(&e) }); err != nil {
		s.t.Fatal(err)
	}
}

var began = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return began.Add(25 * time.Millisecond) }

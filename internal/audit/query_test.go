package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
)

// contextEnded is a context that has ended.
func contextEnded(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

// fill makes ten rows a minute apart, each written by itself.
func fill(s *store) {
	s.t.Helper()
	for i := range 10 {
		now := func() time.Time { return began.Add(time.Duration(i) * time.Minute) }
		s.run(audit.Options{Now: now}, func(a *audit.Service) {
			r := request(200)
			if i == 4 {
				r.Status = 404
			}
			if i%5 == 0 {
				a.Login(s.t.Context(), audit.LoginEvent{Request: r, Identity: "jo"})
				return
			}
			a.Repository(s.t.Context(), audit.RepositoryEvent{Request: r, Operation: acr.PullOperation, Identity: []string{"ci", "jo"}[i%2],
				Repository: fmt.Sprintf("team/%d", i%3)})
		})
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		fill(s)
		a := s.service(audit.Options{})
		minute := func(i int) time.Time { return began.Add(time.Duration(i) * time.Minute) }
		for _, tt := range []struct {
			name string
			q    audit.Query
			want string
		}{
			{"all", audit.Query{}, "10 9 8 7 6 5 4 3 2 1"},
			{"from", audit.Query{From: minute(7)}, "10 9 8"},
			{"to", audit.Query{To: minute(1)}, "2 1"},
			{"between", audit.Query{From: minute(2), To: minute(4)}, "5 4 3"},
			{"before all", audit.Query{To: minute(-60)}, ""},
			{"after all", audit.Query{From: minute(60)}, ""},
			{"category", audit.Query{Category: acr.LoginEvents}, "6 1"},
			{"operation", audit.Query{Operation: "login"}, "6 1"},
			{"identity", audit.Query{Identity: "ci"}, "9 7 5 3"},
			{"part of an identity", audit.Query{Identity: "c"}, ""},
			{"repository", audit.Query{Repository: "team/1"}, "8 5 2"},
			{"identity and repository", audit.Query{Identity: "ci", Repository: "team/2"}, "9 3"},
			{"result", audit.Query{Result: "404"}, "5"},
			{"results", audit.Query{Result: "4"}, "5"},
			{"a field of another name", audit.Query{Repository: "ci"}, ""},
			{"a quote", audit.Query{Identity: `"ci","x":"`}, ""},
			{"before a row", audit.Query{Before: 3}, "2 1"},
		} {
			tt.q.Registry = "DEMO1"
			for _, limit := range []int{1, 3, 100} {
				if got := pages(s, a, tt.q, limit); got != tt.want {
					t.Errorf("%s, %d at a time: %s, want %s", tt.name, limit, got, tt.want)
				}
			}
		}
	})
}

// pages walks to the end and writes the rows' numbers.
func pages(s *store, a *audit.Service, q audit.Query, limit int) string {
	s.t.Helper()
	var out []string
	q.Limit = limit
	for range 20 {
		page, err := a.Query(reader(s.t.Context()), q)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(page.Rows) > limit {
			s.t.Fatalf("%d rows, %d were asked for", len(page.Rows), limit)
		}
		for _, r := range page.Rows {
			out = append(out, fmt.Sprint(r.Seq))
		}
		if q.Before = page.Before; q.Before == 0 {
			return strings.Join(out, " ")
		}
	}
	s.t.Fatal("the pages do not end")
	return ""
}

package audit

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Activity says which changes of resources to find, in the chains of all registries, deleted ones too, and in that of what
// belongs to none.
type Activity struct {
	From, To time.Time
	// Match picks changes, after the right to read them: Microsoft.Insights/eventtypes/values/read on their resource.
	Match func(*acr.AuditRow) bool
	// ScopeOf is what that right is asked on; "" for what is not shown.
	ScopeOf func(*acr.AuditRow) string
	Skip    int // how many of exactly the time To were shown before
	Limit   int // up to MaxPage
}

// ActivityPage is an answer: changes from the newest on, and where to go on: To and Skip of the next question. A zero To says
// that there are no more.
type ActivityPage struct {
	Rows []acr.AuditRow
	To   time.Time
	Skip int
}

// maxChains bounds how many registries one question looks at: those with the highest numbers.
const maxChains = 10_000

// Activity finds changes of resources. Errors: fault.Unauthenticated, fault.Invalid.
func (s *Service) Activity(ctx context.Context, q Activity) (ActivityPage, error) {
	if q.Limit < 1 || q.Limit > MaxPage || q.Skip < 0 {
		return ActivityPage{}, fault.New(fault.Invalid, "the activity log is read in pages of 1 to %d events", MaxPage)
	}
	if err := s.policy.Control(ctx, s.opt.Scope(""), activityRead); fault.KindOf(err) == fault.Unauthenticated && err != nil {
		return ActivityPage{}, err
	}
	var rows []acr.AuditRow
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		heads, err := tx.AuditHeads()
		if err != nil {
			return err
		}
		rows = nil
		for _, h := range heads[max(len(heads)-maxChains, 0):] {
			some, err := s.chainActivity(ctx, tx, h.Registry, q)
			if err != nil {
				return err
			}
			rows = append(rows, some...)
		}
		return nil
	})
	slices.SortStableFunc(rows, func(a, b acr.AuditRow) int {
		return cmp.Compare(b.TimeGenerated.UnixNano(), a.TimeGenerated.UnixNano())
	})
	rows = rows[min(q.Skip, len(rows)):]
	page := ActivityPage{Rows: rows}
	if len(rows) > q.Limit {
		page.Rows = rows[:q.Limit]
		page.To = page.Rows[q.Limit-1].TimeGenerated
		for i := q.Limit - 1; i >= 0 && page.Rows[i].TimeGenerated.Equal(page.To); i-- {
			page.Skip++
		}
		if page.To.Equal(q.To) {
			page.Skip += q.Skip
		}
	}
	return page, err
}

// activityRead is the right to read the activity log.
const activityRead = "Microsoft.Insights/eventtypes/values/read"

// chainActivity finds the newest changes of one chain, one more than are asked for.
func (s *Service) chainActivity(ctx context.Context, tx *meta.Tx, registry int64, q Activity) ([]acr.AuditRow, error) {
	c := scan{Query: Query{From: q.From, To: q.To, Category: acr.Changes, Limit: q.Skip + q.Limit + 1}, number: registry}
	c.also = func(r *acr.AuditRow) bool {
		scope := q.ScopeOf(r)
		return scope != "" && (q.Match == nil || q.Match(r)) && s.policy.Control(ctx, scope, activityRead) == nil
	}
	if err := c.bounds(tx); err != nil {
		return nil, err
	}
	for {
		if err := c.run(tx); err != nil || c.page.Before == 0 || len(c.page.Rows) == c.Limit {
			return c.page.Rows, err
		}
		c.before, c.seen, c.page.Before = c.page.Before, 0, 0 // many rows were of other things
	}
}

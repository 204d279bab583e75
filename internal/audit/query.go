package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Query says which rows to find; what is empty does not matter.
type Query struct {
	Registry   string // its name; "" for what belongs to none
	From, To   time.Time
	Category   acr.AuditCategory
	Operation  string // without regard to case, as are results
	Identity   string
	Repository string
	Result     string // a status, or the beginning of some: 4 for all that were refused
	Before     int64  // rows with a smaller number; 0: from the newest on
	Limit      int    // up to MaxPage; 0 is 100
}

// Page is an answer: rows from the newest on. Before goes into the next query; 0 says that there are no more. A page may be
// short, or empty, though there are more.
type Page struct {
	Rows   []acr.AuditRow
	Before int64
}

const (
	// MaxPage is how many rows one page holds at most.
	MaxPage = 1000

	maxScan  = 100_000          // rows that one query looks at
	disorder = 15 * time.Minute // how much later than its time a row is chained at most, as after an outage of the store
)

// Query finds rows. The caller may read the registry's audit: Microsoft.ContainerRegistry/registries/auditEvents/read on
// it, or Microsoft.Authorization/auditEvents/read on what all lie in for what belongs to none. Errors: fault.NotFound, fault.Invalid.
func (s *Service) Query(ctx context.Context, q Query) (Page, error) {
	q.Registry = strings.ToLower(q.Registry)
	if err := s.may(ctx, q.Registry); err != nil {
		return Page{}, err
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 0 || q.Limit > MaxPage || q.Before < 0 {
		return Page{}, fault.New(fault.Invalid, "the audit is read in pages of 1 to %d rows", MaxPage)
	}
	var page Page
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		scan := scan{Query: q}
		if err := scan.bounds(tx); err != nil {
			return err
		}
		err := scan.run(tx)
		page = scan.page
		return err
	})
	return page, err
}

// scan is a query under way.
type scan struct {
	Query
	number        int64
	after, before int64 // rows between them are looked at
	needles       [][]byte
	also          func(*acr.AuditRow) bool // of rows that match; nil: all of them
	page          Page
	seen          int
}

// bounds finds the registry, and where in its chain to look.
func (c *scan) bounds(tx *meta.Tx) (err error) {
	if c.Registry != "" {
		if c.number, err = tx.Registry(c.Registry); err != nil {
			return err
		}
	}
	if c.before = c.Before; c.before == 0 {
		c.before = math.MaxInt64
	}
	if !c.To.IsZero() {
		last, err := tx.AuditSeqAt(c.number, c.To.Add(disorder))
		if err != nil {
			return err
		}
		c.before = min(c.before, last+1)
	}
	if !c.From.IsZero() {
		if c.after, err = tx.AuditSeqAt(c.number, c.From.Add(-disorder)); err != nil {
			return err
		}
	}
	for field, value := range map[string]string{"identity": c.Identity, "repository": c.Repository, "category": string(c.Category)} {
		if value == "" {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		c.needles = append(c.needles, []byte(`"`+field+`":`+string(text)))
	}
	return nil
}

func (c *scan) run(tx *meta.Tx) error {
	for {
		segments, err := tx.AuditBefore(c.number, c.after, c.before, 64)
		if err != nil || len(segments) == 0 {
			return err
		}
		for _, segment := range segments {
			entries, err := acr.AuditEntries(segment.Body)
			if err != nil && len(entries) == 0 {
				c.before = segment.Seq // damaged: Verify says so
				continue
			}
			for i := len(entries) - 1; i >= 0; i-- {
				if full, err := c.entry(entries[i]); err != nil || full {
					return err
				}
			}
			c.before = segment.Seq
		}
	}
}

// entry looks at a row; full tells that the page is.
func (c *scan) entry(e acr.AuditEntry) (full bool, err error) {
	seq := e.AuditSeq()
	if seq >= c.before || seq <= c.after {
		return false, nil
	}
	if len(c.page.Rows) == c.Limit || c.seen == maxScan {
		c.page.Before = seq + 1
		return true, nil
	}
	c.seen++
	for _, needle := range c.needles {
		if !bytes.Contains(e.Row, needle) {
			return false, nil
		}
	}
	var row acr.AuditRow
	if err := json.Unmarshal(e.Row, &row); err != nil {
		return false, nil // damaged: Verify says so
	}
	if c.matches(&row) && (c.also == nil || c.also(&row)) {
		c.page.Rows = append(c.page.Rows, row)
	}
	return false, nil
}

func (q *Query) matches(r *acr.AuditRow) bool {
	return (q.From.IsZero() || !r.TimeGenerated.Before(q.From)) && (q.To.IsZero() || !r.TimeGenerated.After(q.To)) &&
		(q.Category == "" || r.Category == q.Category) &&
		(q.Operation == "" || strings.EqualFold(string(r.OperationName), q.Operation)) &&
		(q.Identity == "" || r.Identity == q.Identity) &&
		(q.Repository == "" || r.Repository == q.Repository) &&
		(q.Result == "" || strings.HasPrefix(r.ResultDescription, q.Result))
}

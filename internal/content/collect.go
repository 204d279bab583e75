package content

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/crash"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// CollectOptions of a pass.
type CollectOptions struct {
	DryRun  bool
	Orphans bool           // look through the whole bucket for objects that no row names
	Gentle  bool           // rest nine times as long as each step took, unless space is short
	Grace   *time.Duration // in place of the service's; 0 takes all that is idle now
	// Progress, if not nil, hears of each thing that goes, or with DryRun would.
	Progress func(what, name string, bytes int64)
}

// Collected is what a pass took, or with DryRun would take.
type Collected struct {
	Memberships  int   `json:"memberships"`  // blobs that no manifest of their repository names
	Uploads      int   `json:"uploads"`      // abandoned ones
	Repositories int   `json:"repositories"` // rows in which nothing was left
	Objects      int   `json:"objects"`      // removed from the bucket
	Bytes        int64 `json:"bytes"`        // of those objects
	Orphans      int   `json:"orphans"`      // objects that no row named, left by a crash
	PendingBytes int64 `json:"pendingBytes"` // still to be removed afterwards: idle blobs and litter
}

const (
	// collectBatch is how many rows one transaction takes, so that pushes wait for milliseconds.
	collectBatch = 50
	// pageOfRows is how many rows are looked at in one go.
	pageOfRows = 1000
	// litterRest lets reads that were under way end before an object goes.
	litterRest = time.Minute
	// orphanAge is how old an object without a row must be to be taken for a crash's leftover.
	orphanAge = 24 * time.Hour
)

// Collect removes what nothing names any more, while the server serves. Nothing goes for being absent from a list:
// a blob goes in a transaction that finds it without a reference for longer than the grace period, an object once
// that transaction is durable. Only the system may.
func (s *Service) Collect(ctx context.Context, opt CollectOptions) (Collected, error) {
	var c Collected
	if err := s.operator(ctx); err != nil {
		return c, err
	}
	grace := *s.opt.Grace
	if opt.Grace != nil {
		grace = *opt.Grace
	}
	if opt.Progress == nil {
		opt.Progress = func(string, string, int64) {}
	}
	start := time.Now()
	p := &pass{Service: s, opt: opt, out: &c, before: s.db.Now().Add(-grace),
		pace: pace{gentle: opt.Gentle && !opt.DryRun, hurry: s.opt.Hurry}}
	var errs []error
	steps := []func(context.Context) error{p.uploads, p.memberships, p.registries, p.litter}
	if opt.Orphans {
		steps = slices.Insert(steps, 0, p.orphans)
	}
	for _, step := range steps {
		errs = append(errs, step(ctx)) // what one cannot take does not keep the next from its own
	}
	if !opt.DryRun {
		s.stats.pass.Observe(time.Since(start).Seconds())
	}
	return c, errors.Join(append(errs, s.measure(ctx, &c))...)
}

// measure brings the pending figures up to date.
func (s *Service) measure(ctx context.Context, c *Collected) error {
	var litter, idle int64
	err := s.db.View(ctx, func(tx *meta.Tx) (err error) {
		litter, _, idle, err = tx.Pending()
		return err
	})
	s.stats.pending.WithLabelValues("litter").Set(float64(litter))
	s.stats.pending.WithLabelValues("idle").Set(float64(idle))
	c.PendingBytes = litter + idle
	return err
}

// pass is one run of Collect.
type pass struct {
	*Service
	pace   pace
	opt    CollectOptions
	out    *Collected
	before time.Time // idle since before this goes
}

// count notes that something went.
func (p *pass) count(n *int, what, name string, bytes int64) {
	*n++
	p.opt.Progress(what, name, bytes)
	if !p.opt.DryRun {
		p.stats.collected.WithLabelValues(what).Inc()
	}
}

// memberships takes those that are idle. A page of them may grow old while the pass rests: each is held against its row
// again when it goes.
func (p *pass) memberships(ctx context.Context) error {
	limit := pageOfRows
	if p.opt.DryRun {
		limit = 1 << 20
	}
	for more := true; more; {
		var idle []meta.Idle
		if err := p.db.Look(ctx, func(tx *meta.Tx) (err error) {
			idle, err = tx.IdleMembers(p.before, limit)
			return err
		}); err != nil {
			return err
		}
		more = len(idle) == limit && !p.opt.DryRun
		slices.SortStableFunc(idle, func(a, b meta.Idle) int { return cmp.Compare(a.Registry, b.Registry) })
		took := p.out.Memberships
		for len(idle) > 0 {
			n := 1
			for n < len(idle) && n < collectBatch && idle[n].Registry == idle[0].Registry {
				n++
			}
			if err := p.pace.step(ctx, func() error { return p.members(ctx, idle[:n]) }); err != nil {
				return err
			}
			idle = idle[n:]
		}
		more = more && p.out.Memberships > took
	}
	return nil
}

// members takes memberships of one registry.
func (p *pass) members(ctx context.Context, idle []meta.Idle) error {
	gone := idle
	if !p.opt.DryRun {
		gone = make([]meta.Idle, 0, len(idle))
		r := Registry{s: p.Service, id: idle[0].Registry}
		err := p.db.Change(ctx, r.id, func(tx *meta.Tx) error {
			gone = gone[:0]
			for _, i := range idle {
				ok, err := tx.CollectMember(i)
				if err != nil {
					return err
				}
				if ok {
					gone = append(gone, i)
					tx.OnCommit(func() { r.s.cache.drop(r.key(aBlob, i.Name, string(i.Digest))) })
				}
			}
			if len(gone) == 0 {
				return nil
			}
			return tx.Append(r.event(ctx, acr.Event{Kind: acr.Collected, Count: len(gone)}))
		})
		crash.Point("collect.members")
		if err != nil {
			return err
		}
	}
	for _, i := range gone {
		p.count(&p.out.Memberships, "membership", i.Name+"@"+string(i.Digest), i.Size)
	}
	return nil
}

// registries takes rows of repositories that are empty, and old events. Whether there are any is looked up beside the
// pushes, which wait for what is written only.
func (p *pass) registries(ctx context.Context) error {
	if p.opt.DryRun {
		return nil
	}
	var ids []int64
	if err := p.db.Look(ctx, func(tx *meta.Tx) (err error) {
		ids, err = tx.Registries()
		return err
	}); err != nil {
		return err
	}
	for _, id := range ids {
		if err := p.repositories(ctx, id); err != nil {
			return err
		}
		if err := p.events(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) repositories(ctx context.Context, registry int64) error {
	for more := true; more; {
		var empty []int64
		if err := p.pace.step(ctx, func() error {
			return p.db.Look(ctx, func(tx *meta.Tx) (err error) {
				empty, err = tx.EmptyRepositories(registry, p.before, pageOfRows)
				return err
			})
		}); err != nil {
			return err
		}
		took := p.out.Repositories
		for batch := range slices.Chunk(empty, collectBatch) {
			if err := p.pace.step(ctx, func() error { return p.prune(ctx, registry, batch) }); err != nil {
				return err
			}
		}
		more = len(empty) == pageOfRows && p.out.Repositories > took
	}
	return nil
}

func (p *pass) prune(ctx context.Context, registry int64, ids []int64) error {
	pruned := 0
	if err := p.db.Change(ctx, registry, func(tx *meta.Tx) error {
		pruned = 0
		for _, id := range ids {
			gone, err := tx.PruneRepository(id, p.before)
			if err != nil {
				return err
			}
			if gone {
				pruned++
			}
		}
		return nil
	}); err != nil {
		return err
	}
	p.out.Repositories += pruned
	p.stats.collected.WithLabelValues("repository").Add(float64(pruned))
	return nil
}

// events trims a registry's log.
func (p *pass) events(ctx context.Context, registry int64) error {
	before := p.db.Now().Add(-p.Service.opt.LogRetention)
	var old bool
	if err := p.db.Look(ctx, func(tx *meta.Tx) (err error) {
		old, err = tx.Older(registry, before)
		return err
	}); err != nil {
		return err
	}
	for old {
		if err := p.pace.step(ctx, func() error {
			return p.db.Change(ctx, registry, func(tx *meta.Tx) error {
				n, err := tx.TrimLog(registry, before, pageOfRows)
				old = n == pageOfRows
				return err
			})
		}); err != nil {
			return err
		}
	}
	return nil
}

// uploads sweeps those that nobody touched for too long, and that nobody in this process works on: a row is touched only
// between requests, one of which may take long.
func (p *pass) uploads(ctx context.Context) error {
	before := p.db.Now().Add(-p.Service.opt.UploadExpiry)
	for more := true; more; {
		var stale []meta.Upload
		if err := p.db.Look(ctx, func(tx *meta.Tx) (err error) {
			stale, err = tx.StaleUploads(before, pageOfRows)
			return err
		}); err != nil {
			return err
		}
		more = len(stale) == pageOfRows && !p.opt.DryRun
		took := p.out.Uploads
		for batch := range slices.Chunk(stale, collectBatch) {
			if err := p.pace.step(ctx, func() error { return p.sweep(ctx, batch, before) }); err != nil {
				return err
			}
		}
		more = more && p.out.Uploads > took
	}
	return nil
}

func (p *pass) sweep(ctx context.Context, stale []meta.Upload, before time.Time) error {
	stale = slices.DeleteFunc(stale, func(u meta.Upload) bool { return p.held(u.ID) })
	gone := stale
	if !p.opt.DryRun {
		gone = make([]meta.Upload, 0, len(stale))
		if err := p.db.Update(ctx, func(tx *meta.Tx) error {
			gone = gone[:0]
			for _, u := range stale {
				ok, err := tx.SweepUpload(u, before)
				if err != nil {
					return err
				}
				if ok {
					gone = append(gone, u)
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for _, u := range gone {
		p.count(&p.out.Uploads, "upload", u.Repository+" "+u.ID, u.Size)
	}
	return nil
}

// orphans makes litter of old objects that no row names: bytes whose transaction never came.
func (p *pass) orphans(ctx context.Context) error {
	young := p.db.Now().Add(-orphanAge)
	start := time.Now()
	for info, err := range p.blobs.List(ctx, "") {
		if err != nil {
			return err
		}
		if !info.Modified.After(young) {
			if err := p.orphan(ctx, info); err != nil {
				return err
			}
		}
		if err := p.pace.rest(ctx, time.Since(start)); err != nil { // the listing's time too
			return err
		}
		start = time.Now()
	}
	return nil
}

func (p *pass) orphan(ctx context.Context, info blob.Info) error {
	noted := false
	if err := p.db.Look(ctx, func(tx *meta.Tx) error {
		known, err := tx.Knows(info.Key)
		noted = !known
		return err
	}); err != nil {
		return err
	}
	if noted && !p.opt.DryRun { // it may have been published since
		if err := p.db.Update(ctx, func(tx *meta.Tx) (err error) {
			noted, err = tx.LitterOrphan(info.Key, info.Size)
			return err
		}); err != nil {
			return err
		}
	}
	if noted {
		p.count(&p.out.Orphans, "orphan", info.Key, info.Size)
	}
	return nil
}

// litter removes objects from the bucket, then the rows that told to. One that cannot be removed is tried again with the
// next pass.
func (p *pass) litter(ctx context.Context) error {
	before := p.db.Now().Add(-litterRest)
	var failed error // the first
	after := ""
	for more := true; more; {
		list, err := p.litterBefore(ctx, before, after)
		if err != nil {
			return err
		}
		if more = len(list) == pageOfRows; more {
			after = list[len(list)-1].Key
		}
		for batch := range slices.Chunk(list, collectBatch) {
			gone, err := batch, error(nil)
			if !p.opt.DryRun {
				if gone, err = p.remove(ctx, batch); ctx.Err() != nil {
					return ctx.Err()
				}
				failed = cmp.Or(failed, err)
				crash.Point("collect.objects")
				if err := p.pace.step(ctx, func() error { return p.swept(ctx, gone) }); err != nil {
					return err
				}
			}
			for _, o := range gone {
				p.count(&p.out.Objects, "object", o.Key, o.Size)
				p.out.Bytes += o.Size
			}
		}
	}
	return failed
}

// litterBefore ends when all it saw is durable, which the empty Update waits for: an object must not go before the rows that
// named it have gone for good. Until it goes nobody can name it again, however long the pass rests.
func (p *pass) litterBefore(ctx context.Context, before time.Time, after string) (list []meta.Object, err error) {
	if err := p.db.Look(ctx, func(tx *meta.Tx) (err error) {
		list, err = tx.LitterBefore(before, after, pageOfRows)
		return err
	}); err != nil || len(list) == 0 {
		return nil, err
	}
	return list, p.db.Update(ctx, func(*meta.Tx) error { return nil })
}

// remove deletes objects, each a step of its own, for a large one takes long. An error is the first of those that stay.
func (p *pass) remove(ctx context.Context, list []meta.Object) (gone []meta.Object, err error) {
	for _, o := range list {
		if failed := p.pace.step(ctx, func() error { return p.blobs.Delete(ctx, o.Key) }); failed != nil {
			err = cmp.Or(err, failed)
		} else {
			gone = append(gone, o)
		}
	}
	return gone, err
}

func (p *pass) swept(ctx context.Context, list []meta.Object) error {
	return p.db.Update(ctx, func(tx *meta.Tx) error {
		for _, o := range list {
			if err := tx.Swept(o.Key); err != nil {
				return err
			}
		}
		return nil
	})
}

// operator keeps an operator's work from everybody else.
func (s *Service) operator(ctx context.Context) error {
	if s.policy.Allow(ctx, "", acr.Scope{Type: "system"}, acr.All) != nil {
		return fault.New(fault.Denied, "only an operator may do this")
	}
	return nil
}

package content

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/crash"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// CollectOptions of a pass.
type CollectOptions struct {
	DryRun  bool
	Orphans bool           // look through the whole bucket for objects that no row names
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
	// collectBatch is how many memberships one transaction takes, so that pushes wait for milliseconds.
	collectBatch = 50
	// pageOfRows is how many rows of other things are looked at in one go.
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
	grace := s.opt.Grace
	if opt.Grace != nil {
		grace = *opt.Grace
	}
	if opt.Progress == nil {
		opt.Progress = func(string, string, int64) {}
	}
	start := time.Now()
	p := &pass{Service: s, opt: opt, out: &c, before: s.db.Now().Add(-grace)}
	var errs []error
	steps := []func(context.Context) error{p.uploads, p.registries, p.litter}
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

func (p *pass) registries(ctx context.Context) error {
	var ids []int64
	if err := p.db.Look(ctx, func(tx *meta.Tx) (err error) {
		ids, err = tx.Registries()
		return err
	}); err != nil {
		return err
	}
	for _, id := range ids {
		if err := p.registry(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// registry takes one registry's idle memberships, then rows of repositories that are empty, then old events.
func (p *pass) registry(ctx context.Context, id int64) error {
	for more := true; more; {
		limit := collectBatch
		if p.opt.DryRun {
			limit = 1 << 20
		}
		var idle []meta.Idle
		if err := p.db.Look(ctx, func(tx *meta.Tx) (err error) {
			idle, err = tx.IdleMembers(id, p.before, limit)
			return err
		}); err != nil {
			return err
		}
		gone := idle
		if !p.opt.DryRun && len(idle) > 0 {
			var err error
			if gone, err = p.members(ctx, id, idle); err != nil {
				return err
			}
		}
		for _, i := range gone {
			p.count(&p.out.Memberships, "membership", i.Name+"@"+string(i.Digest), i.Size)
		}
		more = len(idle) == limit && len(gone) > 0
	}
	if p.opt.DryRun {
		return nil
	}
	for more := true; more; {
		var pruned, trimmed int64
		if err := p.db.Change(ctx, id, func(tx *meta.Tx) (err error) {
			if pruned, err = tx.PruneRepositories(id, p.before, pageOfRows); err != nil {
				return err
			}
			trimmed, err = tx.TrimLog(id, p.db.Now().Add(-p.Service.opt.LogRetention), pageOfRows)
			return err
		}); err != nil {
			return err
		}
		p.out.Repositories += int(pruned)
		more = pruned == pageOfRows || trimmed == pageOfRows
	}
	return nil
}

func (p *pass) members(ctx context.Context, id int64, idle []meta.Idle) (gone []meta.Idle, err error) {
	r := Registry{s: p.Service, id: id}
	err = p.db.Change(ctx, id, func(tx *meta.Tx) error {
		gone = gone[:0]
		for _, i := range idle {
			ok, err := tx.CollectMember(id, i)
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
	return gone, err
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
		swept := 0
		for _, u := range stale {
			if p.held(u.ID) {
				continue
			}
			gone := p.opt.DryRun
			if !gone {
				if err := p.db.Update(ctx, func(tx *meta.Tx) (err error) {
					gone, err = tx.SweepUpload(u, before)
					return err
				}); err != nil {
					return err
				}
			}
			if gone {
				p.count(&p.out.Uploads, "upload", u.Repository+" "+u.ID, u.Size)
				swept++
			}
		}
		more = len(stale) == pageOfRows && swept > 0 && !p.opt.DryRun
	}
	return nil
}

// orphans makes litter of old objects that no row names: bytes whose transaction never came.
func (p *pass) orphans(ctx context.Context) error {
	young := p.db.Now().Add(-orphanAge)
	for info, err := range p.blobs.List(ctx, "") {
		if err != nil {
			return err
		}
		if info.Modified.After(young) {
			continue
		}
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
	}
	return nil
}

// litter removes objects from the bucket, then the rows that told to. One that cannot be removed is tried again with the
// next pass.
func (p *pass) litter(ctx context.Context) error {
	before := p.db.Now().Add(-litterRest)
	var failed error // the first
	for more := true; more; {
		list, err := p.litterBefore(ctx, before)
		if err != nil {
			return err
		}
		gone := list
		if !p.opt.DryRun {
			gone = nil
			for _, o := range list {
				if err := p.blobs.Delete(ctx, o.Key); err != nil {
					failed = cmp.Or(failed, err)
				} else {
					gone = append(gone, o)
				}
			}
			crash.Point("collect.objects")
			if err := p.swept(ctx, gone); err != nil {
				return err
			}
		}
		for _, o := range gone {
			p.count(&p.out.Objects, "object", o.Key, o.Size)
			p.out.Bytes += o.Size
		}
		more = len(list) == pageOfRows && len(gone) > 0 && !p.opt.DryRun
	}
	return failed
}

// litterBefore reads in an Update, for that ends when all it saw is durable: an object must not go before the rows that
// named it have gone for good.
func (p *pass) litterBefore(ctx context.Context, before time.Time) (list []meta.Object, err error) {
	err = p.db.Update(ctx, func(tx *meta.Tx) (err error) {
		list, err = tx.LitterBefore(before, pageOfRows)
		return err
	})
	return list, err
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

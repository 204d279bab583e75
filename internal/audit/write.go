package audit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

const (
	settle     = 100 * time.Millisecond // rows that come within it are written together
	followTime = time.Second            // how often logs are looked at
	trimTime   = time.Hour
	farewell   = 10 * time.Second // what the last write may take
	maxBatch   = 4096
	atOnce     = 512 // rows of one transaction: others wait for it, two milliseconds or so
	follower   = "audit"
)

// Run writes what is handed in, follows the registries' logs, feeds the file, and removes what is too old. When ctx ends
// it writes what is still there, and returns.
func (s *Service) Run(ctx context.Context) error {
	defer close(s.gone)
	tick := time.NewTicker(followTime)
	defer tick.Stop()
	sink := &sink{path: s.opt.File}
	defer sink.close()
	trimmed := time.Time{}
	for {
		select {
		case first := <-s.queue:
			s.flush(ctx, s.gather(ctx, first))
		case <-tick.C:
			s.flush(ctx, s.held.take())
			s.tend(ctx, sink)
			if now := s.opt.Now(); s.opt.Keep > 0 && now.Sub(trimmed) >= trimTime {
				s.logged("remove old audit rows", s.Trim(ctx))
				trimmed = now
			}
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			for more := true; more; more = len(s.queue) > 0 {
				s.flush(ctx, s.take(nil))
			}
			s.flush(ctx, s.held.take())
			s.tend(ctx, sink)
			return nil
		}
	}
}

// gather waits for more rows, where there are not enough for a batch.
func (s *Service) gather(ctx context.Context, first entry) []entry {
	if len(s.queue) >= maxBatch {
		return s.take([]entry{first})
	}
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return s.take([]entry{first})
}

// take empties the queue, but for what would make the batch too large.
func (s *Service) take(batch []entry) []entry {
	for len(batch) < maxBatch {
		select {
		case e := <-s.queue:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// flush writes rows, trying again until they are written or ctx has ended.
func (s *Service) flush(ctx context.Context, batch []entry) {
	var order []string
	rows := map[string][]*acr.AuditRow{}
	for _, e := range batch {
		key := strings.ToLower(e.registry)
		if _, ok := rows[key]; !ok {
			order = append(order, key)
		}
		rows[key] = append(rows[key], e.row)
	}
	if uncounted := s.uncounted(); uncounted != nil {
		if _, ok := rows[""]; !ok {
			order = append(order, "")
		}
		rows[""] = append(rows[""], uncounted...)
	}
	for _, key := range order {
		for some := range slices.Chunk(rows[key], atOnce) {
			s.insist(ctx, key, some)
		}
	}
	s.jammed.Store(false)
}

// uncounted are rows that tell of events without one.
func (s *Service) uncounted() (rows []*acr.AuditRow) {
	tell := func(operation acr.AuditOperation, n int64) {
		if n > 0 {
			rows = append(rows, &acr.AuditRow{TimeGenerated: s.opt.Now().UTC(), Category: acr.Changes, OperationName: operation,
				Identity: "system:audit", Count: int(n)})
		}
	}
	lost := s.lost.Swap(0)
	if lost > 0 {
		s.opt.Log.Error("audit rows were lost: they came in faster than they could be written", "rows", lost)
	}
	tell(acr.AuditLost, lost)
	tell(acr.AuditSkipped, s.skipped.Swap(0))
	return rows
}

func (s *Service) insist(ctx context.Context, key string, rows []*acr.AuditRow) {
	for pause := settle; ; pause = min(2*pause, 5*time.Second) {
		err := s.write(ctx, key, rows)
		if err == nil {
			s.metrics.written.Add(float64(len(rows)))
			return
		}
		s.logged("write audit rows", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if err := s.write(context.WithoutCancel(ctx), key, rows); err != nil {
				s.opt.Log.Error("audit rows are lost: the store did not take them before the end", "rows", len(rows), "error", err)
				s.metrics.lost.Add(float64(len(rows)))
			}
			return
		}
	}
}

func (s *Service) write(ctx context.Context, key string, rows []*acr.AuditRow) error {
	return s.opt.DB.Note(ctx, func(tx *meta.Tx) error {
		number, err := numberOf(tx, key)
		if err != nil {
			return err
		}
		return tx.AppendAudit(number, rows...)
	})
}

// numberOf is a registry's number; 0 where there is no such registry, so that its rows are the installation's.
func numberOf(tx *meta.Tx, key string) (int64, error) {
	if key == "" {
		return 0, nil
	}
	number, err := tx.Registry(key)
	if errors.Is(err, fault.NotFound) {
		return 0, nil
	}
	return number, err
}

func (s *Service) logged(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.opt.Log.Warn(what+" failed and is tried again", "error", err)
	}
}

// tend does what is not handed in: the logs, then the file.
func (s *Service) tend(ctx context.Context, sink *sink) {
	s.logged("follow the registries' logs", s.follow(ctx))
	if sink.path != "" {
		s.logged("write audit rows to "+sink.path, s.file(ctx, sink))
	}
}

// follow chains what the logs say since it last looked.
func (s *Service) follow(ctx context.Context) error {
	var behind []int64
	if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		behind, err = tx.Behind(follower)
		return err
	}); err != nil {
		return err
	}
	for _, number := range behind {
		for more := true; more; {
			err := s.opt.DB.Note(ctx, func(tx *meta.Tx) (err error) {
				more, err = s.chain(tx, number)
				return err
			})
			if errors.Is(err, errElsewhere) {
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// errElsewhere says that another node was faster.
var errElsewhere = fault.New(fault.Precondition, "another node follows this registry's log")

// chain takes a page of a registry's log; more tells whether there may be another.
func (s *Service) chain(tx *meta.Tx, number int64) (more bool, err error) {
	at, err := tx.Cursor(follower, number)
	if err != nil {
		return false, err
	}
	events, err := tx.Events(number, at, 256)
	if err != nil || len(events) == 0 {
		return false, err
	}
	moved, err := tx.SetCursor(follower, number, at, events[len(events)-1].Seq)
	if err == nil && !moved {
		err = errElsewhere
	}
	if err != nil {
		return false, err
	}
	rows := make([]*acr.AuditRow, len(events))
	for i, e := range events {
		rows[i] = s.changed(e)
	}
	return len(events) == 256, tx.AppendAudit(number, rows...)
}

// changed is the row of a change of contents. What the server itself deletes is a purge, which the real service logs
// among what was done to repositories.
func (s *Service) changed(e acr.Event) *acr.AuditRow {
	row := &acr.AuditRow{
		TimeGenerated: e.At, Category: acr.Changes, OperationName: acr.AuditOperation(e.Kind), Region: s.opt.Region,
		Identity: e.Actor, CorrelationID: e.RequestID, Repository: e.Repository, Tag: e.Tag, Digest: e.Digest,
		MediaType: e.MediaType, Size: e.Size, Previous: e.Previous, Count: e.Count, Log: e.Seq,
	}
	if strings.HasPrefix(e.Actor, "system:") {
		switch e.Kind {
		case acr.TagDeleted:
			row.OperationName = acr.PurgeTagOperation
		case acr.ManifestDeleted:
			row.OperationName = acr.PurgeManifestOperation
		default:
			return row
		}
		row.Category, row.ResultType, row.ResultDescription = acr.RepositoryEvents, "HttpStatusCode", "200"
	}
	return row
}

// Trim removes rows that are older than Keep, and chains a row that says which. Run does it every hour.
func (s *Service) Trim(ctx context.Context) error {
	if s.opt.Keep == 0 {
		return nil
	}
	before := s.opt.Now().Add(-s.opt.Keep)
	var heads []meta.AuditHead
	if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		heads, err = tx.AuditHeads()
		return err
	}); err != nil {
		return err
	}
	for _, h := range heads {
		for gone := int64(1); gone > 0; {
			if err := s.opt.DB.Note(ctx, func(tx *meta.Tx) (err error) {
				gone, err = tx.TrimAudit(h.Registry, before, 1000)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

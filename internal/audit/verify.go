package audit

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
)

// Report is what Verify found. Who keeps the chains' heads elsewhere can tell later that they were not written anew: a row's
// sum never changes.
type Report struct {
	Chains []Chain `json:"chains"`
}

// OK tells that no chain has a fault.
func (r Report) OK() bool {
	for _, c := range r.Chains {
		if len(c.Faults) > 0 {
			return false
		}
	}
	return true
}

// Chain is a registry's.
type Chain struct {
	Registry string  `json:"registry"` // its name; "" for what belongs to none
	Number   int64   `json:"number"`
	Rows     int64   `json:"rows"`
	First    int64   `json:"first"` // the oldest row that is kept
	Last     int64   `json:"last"`
	Head     string  `json:"head"` // the sum of the last
	Faults   []Fault `json:"faults"`
}

// Fault is a place at which the chain does not hold.
type Fault struct {
	Row  int64  `json:"row"`
	What string `json:"what"`
}

// maxFaults bounds what is told of one chain.
const maxFaults = 100

// Verify reads all chains from end to end and finds rows that were changed, moved, added or removed, in the order of their
// numbers. The caller may read the installation's audit: see Query. Rows that are written meanwhile are left to the next time.
func (s *Service) Verify(ctx context.Context) (Report, error) {
	if err := s.may(ctx, ""); err != nil {
		return Report{}, err
	}
	var numbers []int64
	if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		numbers, err = tx.AuditedRegistries(follower)
		return err
	}); err != nil {
		return Report{}, err
	}
	report := Report{Chains: []Chain{}}
	for _, number := range numbers {
		w := walk{s: s, chain: Chain{Number: number, Faults: []Fault{}}}
		if err := w.run(ctx); err != nil {
			return report, fmt.Errorf("verify the audit of registry %d: %w", number, err)
		}
		report.Chains = append(report.Chains, w.chain)
	}
	return report, nil
}

// walk goes along one chain.
type walk struct {
	s     *Service
	chain Chain
	head  meta.AuditHead
	next  int64        // the number that must come
	sum   acr.AuditSum // of the row before it
	based bool         // a row tells of the base
}

func (w *walk) fault(row int64, format string, args ...any) {
	if len(w.chain.Faults) < maxFaults {
		w.chain.Faults = append(w.chain.Faults, Fault{row, fmt.Sprintf(format, args...)})
	}
}

func (w *walk) run(ctx context.Context) error {
	if err := w.start(ctx); err != nil {
		return err
	}
	for at := w.next - 1; ; {
		var segments []meta.AuditSegment
		var base int64
		if err := w.s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
			if segments, err = tx.AuditAfter(w.chain.Number, at, 64); err != nil {
				return err
			}
			base, err = tx.AuditBase(w.chain.Number)
			return err
		}); err != nil {
			return err
		}
		if base > w.head.Base { // old rows went meanwhile
			*w = walk{s: w.s, chain: Chain{Number: w.chain.Number, Faults: []Fault{}}}
			return w.run(ctx)
		}
		if len(segments) == 0 {
			break
		}
		for _, segment := range segments {
			if at = segment.Seq; at <= w.head.Seq || w.head.Seq == 0 {
				w.segment(segment)
			}
		}
		if at > w.head.Seq && w.head.Seq > 0 {
			break
		}
	}
	w.finish()
	return nil
}

// start reads where the chain should begin and end.
func (w *walk) start(ctx context.Context) error {
	var heads []meta.AuditHead
	if err := w.s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		if heads, err = tx.AuditHeads(); err != nil {
			return err
		}
		w.chain.Registry, err = tx.RegistryName(w.chain.Number)
		return err
	}); err != nil {
		return err
	}
	w.next, w.sum = 1, acr.FirstAuditSum(w.chain.Number)
	for _, h := range heads {
		if h.Registry == w.chain.Number {
			w.head, w.next = h, h.Base+1
			if h.Base > 0 {
				w.sum = h.BaseSum
			}
		}
	}
	w.chain.First = w.next
	w.based = w.head.Base == 0
	return nil
}

func (w *walk) segment(segment meta.AuditSegment) {
	entries, err := acr.AuditEntries(segment.Body)
	for _, e := range entries {
		w.row(e)
	}
	if err != nil {
		w.fault(w.next, "the row and those behind it, up to %d, cannot be read", segment.Last)
		w.next = max(w.next, segment.Last+1)
		w.sum = acr.AuditSum{} // not known: the next row is taken as it is
	}
}

func (w *walk) row(e acr.AuditEntry) {
	seq := e.AuditSeq()
	switch {
	case seq == 0:
		w.fault(w.next, "the row was altered: it has no number")
	case seq < w.next:
		w.fault(seq, "the row stands behind row %d: it was moved or added", w.next-1)
		return
	case seq == w.next+1:
		w.fault(w.next, "the row was removed")
	case seq > w.next:
		w.fault(w.next, "the rows from here to %d were removed", seq-1)
	default:
		if w.sum != (acr.AuditSum{}) && w.sum.Next(e.Row) != e.Sum {
			w.fault(seq, "the row does not fit its sum: it, or the sum of the row before it, was altered")
		}
	}
	w.chain.Rows++
	w.next, w.sum = max(seq, w.next)+1, e.Sum
	if !w.based {
		var row acr.AuditRow
		w.based = json.Unmarshal(e.Row, &row) == nil && row.OperationName == acr.AuditTrimmed &&
			row.Through == w.head.Base && row.Sum == hex.EncodeToString(w.head.BaseSum[:])
	}
}

// finish holds the end against the head.
func (w *walk) finish() {
	last := w.next - 1
	w.chain.Last, w.chain.Head = last, hex.EncodeToString(w.sum[:])
	switch {
	case w.head.Seq == 0 && last == 0:
		w.fault(1, "the whole chain was removed")
	case w.head.Seq == 0:
		w.fault(last, "the chain's head was removed: rows behind this one may be too")
	case last < w.head.Seq:
		w.fault(last+1, "the rows from here to %d were removed", w.head.Seq)
	case last == w.head.Seq && w.sum != w.head.Sum && w.sum != (acr.AuditSum{}):
		w.fault(last, "the row is not the one that the chain's head names")
	}
	if !w.based {
		w.fault(w.head.Base, "rows up to this one are gone, and no row tells of it")
	}
}

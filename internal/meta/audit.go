package meta

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// AuditHead is where a registry's chain stands.
type AuditHead struct {
	Registry int64 // 0 for what belongs to none
	Seq      int64 // the last row
	Sum      acr.AuditSum
	Base     int64 // the last row that went after its time
	BaseSum  acr.AuditSum
	Filed    int64 // the last row that the file sink has
}

// AuditSegment is a run of rows that were written together.
type AuditSegment struct {
	Seq, Last int64
	Body      []byte // acr.AuditEntries
}

// maxSegment bounds how many rows lie in one segment.
const maxSegment = 256

// AppendAudit chains rows onto a registry's, numbers them, and gives them a time where they have none. Others that append
// to the same chain wait until this transaction has ended.
func (tx *Tx) AppendAudit(registry int64, rows ...*acr.AuditRow) error {
	for len(rows) > 0 {
		n := min(len(rows), maxSegment)
		if err := tx.appendSegment(registry, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (tx *Tx) appendSegment(registry int64, rows []*acr.AuditRow) error {
	seq, sum, err := tx.takeAudit(registry, len(rows))
	if err != nil {
		return err
	}
	var body []byte
	at, until := rows[0].TimeGenerated, rows[0].TimeGenerated
	for i, r := range rows {
		if r.Seq = seq + int64(i) + 1; r.TimeGenerated.IsZero() {
			r.TimeGenerated = tx.db.opt.Now().UTC()
		}
		if i == 0 || r.TimeGenerated.Before(at) {
			at = r.TimeGenerated
		}
		if r.TimeGenerated.After(until) {
			until = r.TimeGenerated
		}
		if body, sum, err = acr.AppendAudit(body, sum, r); err != nil {
			return err
		}
	}
	if body, err = acr.PackAudit(body); err != nil {
		return err
	}
	if _, err := tx.exec("INSERT INTO audit (registry, seq, last, at, until, body) VALUES (?, ?, ?, ?, ?, ?)",
		registry, seq+1, seq+int64(len(rows)), at.UnixMicro(), until.UnixMicro(), body); err != nil {
		return err
	}
	_, err = tx.exec("UPDATE audit_head SET sum = ? WHERE registry = ?", sum[:], registry)
	return err
}

// takeAudit takes the head, moves it on by n rows, and tells where it stood.
func (tx *Tx) takeAudit(registry int64, n int) (seq int64, sum acr.AuditSum, err error) {
	for range 2 {
		var raw []byte
		found, err := tx.one("UPDATE audit_head SET seq = seq + ? WHERE registry = ? RETURNING seq, sum", []any{n, registry}, &seq, &raw)
		if err != nil {
			return 0, sum, err
		}
		if found {
			sum, err = auditSum(raw)
			return seq - int64(n), sum, err
		}
		first := acr.FirstAuditSum(registry)
		if _, err := tx.exec("INSERT INTO audit_head (registry, seq, sum, base_sum) VALUES (?, 0, ?, ?) ON CONFLICT DO NOTHING",
			registry, first[:], first[:]); err != nil {
			return 0, sum, err
		}
	}
	return 0, sum, fmt.Errorf("audit of registry %d: its head cannot be made", registry)
}

func auditSum(raw []byte) (acr.AuditSum, error) {
	if len(raw) != sha256.Size {
		return acr.AuditSum{}, fault.New(fault.Internal, "an audit sum has %d bytes", len(raw))
	}
	return acr.AuditSum(raw), nil
}

// AuditHeads reads where all chains stand, by registry.
func (tx *Tx) AuditHeads() ([]AuditHead, error) {
	var out []AuditHead
	err := tx.each("SELECT registry, seq, sum, base, base_sum, filed FROM audit_head ORDER BY registry", nil,
		func(scan func(...any) error) error {
			var h AuditHead
			var sum, base []byte
			if err := scan(&h.Registry, &h.Seq, &sum, &h.Base, &base, &h.Filed); err != nil {
				return err
			}
			// A sum of another length is a damage that Verify finds: it equals none.
			copy(h.Sum[:], sum)
			copy(h.BaseSum[:], base)
			out = append(out, h)
			return nil
		})
	return out, err
}

// AuditedRegistries lists the registries that have rows, or should: those of whose log some were made.
func (tx *Tx) AuditedRegistries(follower string) ([]int64, error) {
	return list[int64](tx, `SELECT registry FROM audit_head UNION SELECT registry FROM audit
		UNION SELECT registry FROM cursor WHERE follower = ? AND seq > 0 ORDER BY 1`, follower)
}

// AuditAfter reads at most limit segments of a registry that begin after a row, oldest first.
func (tx *Tx) AuditAfter(registry, seq int64, limit int) ([]AuditSegment, error) {
	return tx.segments("SELECT seq, last, body FROM audit WHERE registry = ? AND seq > ? ORDER BY seq LIMIT ?", registry, seq, limit)
}

// AuditFrom is AuditAfter for segments that end after a row, and so may begin before.
func (tx *Tx) AuditFrom(registry, seq int64, limit int) ([]AuditSegment, error) {
	return tx.segments("SELECT seq, last, body FROM audit WHERE registry = ? AND seq > ? AND last > ? ORDER BY seq LIMIT ?",
		registry, seq-maxSegment, seq, limit)
}

// AuditBefore reads at most limit segments of a registry that begin before a row and end after another, newest first.
func (tx *Tx) AuditBefore(registry, after, before int64, limit int) ([]AuditSegment, error) {
	return tx.segments("SELECT seq, last, body FROM audit WHERE registry = ? AND seq < ? AND seq > ? AND last > ? ORDER BY seq DESC LIMIT ?",
		registry, before, after-maxSegment, after, limit)
}

// AuditSeqAt is the last row of the newest segment that begins at a time or before; 0 where there is none.
func (tx *Tx) AuditSeqAt(registry int64, to time.Time) (int64, error) {
	var seq int64
	_, err := tx.one("SELECT last FROM audit WHERE registry = ? AND at <= ? ORDER BY at DESC, seq DESC LIMIT 1",
		[]any{registry, to.UnixMicro()}, &seq)
	return seq, err
}

func (tx *Tx) segments(query string, args ...any) ([]AuditSegment, error) {
	var out []AuditSegment
	err := tx.each(query, args, func(scan func(...any) error) error {
		var s AuditSegment
		if err := scan(&s.Seq, &s.Last, &s.Body); err != nil {
			return err
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

// AuditBase is the last row of a registry that went after its time; 0 where none did.
func (tx *Tx) AuditBase(registry int64) (int64, error) {
	var base int64
	_, err := tx.one("SELECT base FROM audit_head WHERE registry = ?", []any{registry}, &base)
	return base, err
}

// RegistryName is a registry's lower-case name by its number; "" where there is none.
func (tx *Tx) RegistryName(registry int64) (string, error) {
	var name string
	_, err := tx.one("SELECT name FROM registry WHERE id = ?", []any{registry}, &name)
	return name, err
}

// AuditFiled notes that the file sink has the rows of a registry up to one.
func (tx *Tx) AuditFiled(registry, seq int64) error {
	_, err := tx.exec("UPDATE audit_head SET filed = ? WHERE registry = ? AND filed < ?", seq, registry, seq)
	return err
}

// TrimAudit removes the oldest segments of a registry whose rows are all older than before, at most limit of them, and
// chains a row that says so; it tells how many rows went. The newest segment stays.
func (tx *Tx) TrimAudit(registry int64, before time.Time, limit int) (int64, error) {
	if _, _, err := tx.takeAudit(registry, 0); err != nil { // nobody else trims or appends until the end
		return 0, err
	}
	var from, last, to int64 // the first row, the last segment's first row, its last row
	err := tx.each(`SELECT seq, last FROM audit WHERE registry = ? AND last < (SELECT seq FROM audit_head WHERE registry = ?)
		AND seq < (SELECT COALESCE(MIN(seq), ?) FROM audit WHERE registry = ? AND until >= ?) ORDER BY seq LIMIT ?`,
		[]any{registry, registry, int64(1) << 62, registry, before.UnixMicro(), limit}, func(scan func(...any) error) error {
			err := scan(&last, &to)
			if from == 0 {
				from = last
			}
			return err
		})
	if err != nil || to == 0 {
		return 0, err
	}
	segments, err := tx.AuditAfter(registry, last-1, 1)
	if err != nil {
		return 0, err
	}
	entries, err := acr.AuditEntries(segments[0].Body)
	if err != nil || len(entries) == 0 {
		return 0, errors.Join(fmt.Errorf("trim the audit of registry %d: the segment at row %d cannot be read", registry, last), err)
	}
	sum := entries[len(entries)-1].Sum
	if _, err := tx.exec("DELETE FROM audit WHERE registry = ? AND seq <= ?", registry, last); err != nil {
		return 0, err
	}
	if _, err := tx.exec("UPDATE audit_head SET base = ?, base_sum = ? WHERE registry = ?", to, sum[:], registry); err != nil {
		return 0, err
	}
	return to - from + 1, tx.AppendAudit(registry, &acr.AuditRow{Category: acr.Changes, OperationName: acr.AuditTrimmed,
		Identity: "system:audit", Count: int(to - from + 1), Through: to, Sum: hex.EncodeToString(sum[:])})
}

// resourceChange is a row about a resource that this transaction changes.
type resourceChange struct {
	registry int64
	row      *acr.AuditRow
}

// auditChange notes that a resource is written or removed in this transaction, whose end chains it. doc is nil for one
// removed.
func (tx *Tx) auditChange(id arm.ID, doc []byte) error {
	row := &acr.AuditRow{OperationName: acr.AuditOperation(id.Kind()), Resource: id.String()}
	if doc == nil {
		row.OperationName += "/delete"
	} else {
		row.OperationName += "/write"
		sum := sha256.Sum256(doc)
		row.Change = hex.EncodeToString(sum[:])
	}
	return tx.auditResource(id, row)
}

// auditRemoval is auditChange for n resources below a parent.
func (tx *Tx) auditRemoval(parent string, n int64) error {
	id, err := arm.ParseID(parent)
	if err != nil { // a scope, such as a resource group
		id = arm.ID{}
	}
	return tx.auditResource(id, &acr.AuditRow{OperationName: "resources/delete", Resource: parent + "/*", Count: int(n)})
}

// Audit notes in a row that this transaction does something to a resource, beside writing it; its end chains the row.
func (tx *Tx) Audit(id arm.ID, row *acr.AuditRow) error {
	row.Resource = id.String()
	return tx.auditResource(id, row)
}

// AuditOf is Audit for a resource of a registry that has no name any more, by the number of its row.
func (tx *Tx) AuditOf(registry int64, id arm.ID, row *acr.AuditRow) {
	row.Resource = id.String()
	tx.auditAt(registry, row)
}

func (tx *Tx) auditResource(id arm.ID, row *acr.AuditRow) error {
	registry, err := tx.auditedBy(id)
	tx.auditAt(registry, row)
	return err
}

func (tx *Tx) auditAt(registry int64, row *acr.AuditRow) {
	row.Category = acr.Changes
	if tx.db.opt.Actor != nil {
		row.Identity, row.CorrelationID = tx.db.opt.Actor(tx.caller)
	}
	tx.changes = append(tx.changes, resourceChange{registry, row})
}

// auditChanges chains the rows of the resources that were changed, one registry after the other by number, as every
// transaction that takes several heads does.
func (tx *Tx) auditChanges() error {
	slices.SortStableFunc(tx.changes, func(a, b resourceChange) int { return cmp.Compare(a.registry, b.registry) })
	for len(tx.changes) > 0 {
		var rows []*acr.AuditRow
		registry := tx.changes[0].registry
		for len(tx.changes) > 0 && tx.changes[0].registry == registry {
			rows, tx.changes = append(rows, tx.changes[0].row), tx.changes[1:]
		}
		if err := tx.AppendAudit(registry, rows...); err != nil {
			return err
		}
	}
	return nil
}

// auditedBy is the number of the registry that a resource is or lies in; 0 where it is none's.
func (tx *Tx) auditedBy(id arm.ID) (int64, error) {
	if !strings.EqualFold(id.Provider, arm.Provider) || len(id.Types) == 0 || !strings.EqualFold(id.Types[0], "registries") {
		return 0, nil
	}
	var number int64
	_, err := tx.one("SELECT id FROM registry WHERE name = ?", []any{strings.ToLower(id.Names[0])}, &number)
	return number, err
}

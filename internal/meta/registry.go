package meta

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// CreateRegistry makes the row on which a registry's contents hang and gives its number; the one that is there
// already comes back as it is. name is lower case.
func (tx *Tx) CreateRegistry(name string) (int64, error) {
	if _, err := tx.exec("INSERT INTO registry (name) VALUES (?) ON CONFLICT DO NOTHING", name); err != nil {
		return 0, err
	}
	return tx.Registry(name)
}

// Registry finds a registry's number by its lower-case name. Errors: fault.NotFound.
func (tx *Tx) Registry(name string) (int64, error) {
	var id int64
	found, err := tx.one("SELECT id FROM registry WHERE name = ?", []any{name}, &id)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "registry %s does not exist", name)
	}
	return id, err
}

// RetireRegistry gives the row of a registry that was deleted another name, which is no registry's, so that its own can be
// taken again; number is the row's, or 0 where there was none.
func (tx *Tx) RetireRegistry(name, as string) (number int64, err error) {
	_, err = tx.one("UPDATE registry SET name = ? WHERE name = ? RETURNING id", []any{as, name}, &number)
	return number, err
}

// ReviveRegistry gives the row of a registry that was deleted its name again. Errors: fault.Exists where another has it.
func (tx *Tx) ReviveRegistry(number int64, name string) error {
	n, err := tx.exec("UPDATE registry SET name = ? WHERE id = ?", name, number)
	if err == nil && n == 0 {
		err = fault.New(fault.NotFound, "registry %d does not exist", number)
	}
	return err
}

// Append adds an event to the log of the registry whose Change this is, and fills in its Registry, Seq and At.
func (tx *Tx) Append(e *acr.Event) error {
	if tx.registry == 0 {
		return fmt.Errorf("event %s outside a Change", e.Kind)
	}
	e.At = tx.db.opt.Now().UTC()
	found, err := tx.one("UPDATE registry SET seq = seq + 1 WHERE id = ? RETURNING name, seq", []any{tx.registry},
		&e.Registry, &e.Seq)
	if err != nil {
		return err
	}
	if !found {
		return fault.New(fault.NotFound, "registry %d does not exist", tx.registry)
	}
	doc, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if tx.db.opt.Appended != nil {
		tx.OnCommit(tx.db.opt.Appended)
	}
	_, err = tx.exec("INSERT INTO log (registry, seq, at, doc) VALUES (?, ?, ?, ?)", tx.registry, e.Seq, e.At.UnixMicro(), doc)
	return err
}

// Events reads at most limit events of a registry's log after seq.
func (tx *Tx) Events(registry, seq int64, limit int) ([]acr.Event, error) {
	var out []acr.Event
	err := tx.each("SELECT doc FROM log WHERE registry = ? AND seq > ? ORDER BY seq LIMIT ?", []any{registry, seq, limit},
		func(scan func(...any) error) error {
			var doc []byte
			if err := scan(&doc); err != nil {
				return err
			}
			var e acr.Event
			if err := json.Unmarshal(doc, &e); err != nil {
				return fmt.Errorf("log of registry %d after %d: %w", registry, seq, err)
			}
			out = append(out, e)
			return nil
		})
	return out, err
}

// TrimLog removes the oldest events of a registry, at most limit of them: those older than before that every
// follower has passed.
func (tx *Tx) TrimLog(registry int64, before time.Time, limit int) (int64, error) {
	return tx.exec(`DELETE FROM log WHERE registry = ? AND seq IN (
		SELECT seq FROM (SELECT seq, at FROM log WHERE registry = ? ORDER BY seq LIMIT ?) oldest
		WHERE at < ? AND NOT EXISTS (SELECT 1 FROM cursor c WHERE c.registry = ? AND c.seq < oldest.seq))`,
		registry, registry, limit, before.UnixMicro(), registry)
}

// Older tells whether a registry's log begins before a time.
func (tx *Tx) Older(registry int64, before time.Time) (bool, error) {
	var at int64
	found, err := tx.one("SELECT at FROM log WHERE registry = ? ORDER BY seq LIMIT 1", []any{registry}, &at)
	return found && at < before.UnixMicro(), err
}

// Registries lists the numbers of all registries.
func (tx *Tx) Registries() ([]int64, error) {
	return list[int64](tx, "SELECT id FROM registry ORDER BY id")
}

package meta

import (
	"encoding/json"
	"fmt"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// Get reads a resource and its version. Errors: fault.NotFound.
func Get[R acr.Resource](tx *Tx, id arm.ID) (R, int64, error) {
	var r R
	var doc []byte
	var version int64
	found, err := tx.one("SELECT doc, version FROM resource WHERE id = ?", []any{id.Key()}, &doc, &version)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "%s %s does not exist", id.Type(), id.Name())
	}
	if err == nil {
		err = json.Unmarshal(doc, &r)
	}
	return r, version, err
}

// Put writes a resource: as a new one where version is 0, else over exactly that version.
// Errors: fault.Exists, fault.Precondition where it has changed since it was read, and what Validate says.
func Put[R acr.Resource](tx *Tx, id arm.ID, r R, version int64) error {
	if err := r.Validate(); err != nil {
		return err
	}
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	now := tx.now()
	if version == 0 {
		n, err := tx.exec(`INSERT INTO resource (id, type, doc, version, created, updated) VALUES (?, ?, ?, 1, ?, ?)
			ON CONFLICT DO NOTHING`, id.Key(), r.ResourceType(), doc, now, now)
		if err == nil && n == 0 {
			err = fault.New(fault.Exists, "%s %s exists already", id.Type(), id.Name())
		}
		return err
	}
	n, err := tx.exec("UPDATE resource SET doc = ?, version = version + 1, updated = ? WHERE id = ? AND version = ?",
		doc, now, id.Key(), version)
	if err == nil && n == 0 {
		err = fault.New(fault.Precondition, "%s %s was changed meanwhile: read it again", id.Type(), id.Name())
	}
	return err
}

// Delete removes a resource; existed is false where there was none.
func Delete(tx *Tx, id arm.ID) (existed bool, err error) {
	n, err := tx.exec("DELETE FROM resource WHERE id = ?", id.Key())
	return n > 0, err
}

// List reads resources of a type whose ID key comes after after, at most limit, by ID.
func List[R acr.Resource](tx *Tx, after string, limit int) ([]R, error) {
	var zero R
	var out []R
	err := tx.each("SELECT doc FROM resource WHERE type = ? AND id > ? ORDER BY id LIMIT ?", []any{zero.ResourceType(), after, limit},
		func(scan func(...any) error) error {
			var doc []byte
			if err := scan(&doc); err != nil {
				return err
			}
			var r R
			if err := json.Unmarshal(doc, &r); err != nil {
				return fmt.Errorf("resource of type %s: %w", zero.ResourceType(), err)
			}
			out = append(out, r)
			return nil
		})
	return out, err
}

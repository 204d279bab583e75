package meta

import (
	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// What is parked stands aside under a name, as a part of what was deleted: nothing reads, lists, finds or counts it, and others
// may take its IDs. Documents, versions, times and keys stay as they were, so that Unpark brings all of it back.
const (
	parkedID   = "parked/" // then the name and the whole ID
	parkedType = "parked:" // then the type
)

// ParkUnder parks all resources below a parent, of whatever type, and tells how many there were.
func ParkUnder(tx *Tx, as, parent string) (int64, error) {
	from, to := under(parent)
	return tx.park(as, "id >= ? AND id < ?", from, to)
}

// ParkKeyed parks resources of a type one of whose Keys is key, or key, a slash and more.
func ParkKeyed[R acr.Resource](tx *Tx, as, key string) (int64, error) {
	var zero R
	return tx.park(as, "id IN (SELECT id FROM resource_key WHERE type = ? AND (name = ? OR name >= ? AND name < ?))",
		zero.ResourceType(), key, key+"/", key+"0")
}

func (tx *Tx) park(as, which string, args ...any) (int64, error) {
	n, err := tx.copyResources("CAST(? AS TEXT) || id", parkedID+as, "CAST(? AS TEXT) || type", parkedType, which, args)
	if err != nil || n == 0 {
		return 0, err
	}
	from, to := under(parkedID + as)
	return n, tx.dropResources("id IN (SELECT substr(id, CAST(? AS INTEGER)) FROM resource WHERE id >= ? AND id < ?)", len(parkedID+as)+1, from, to)
}

// Unpark brings back what was parked under a name. Errors: fault.Exists where something else has one of the IDs meanwhile.
func Unpark(tx *Tx, as string) error {
	from, to := under(parkedID + as)
	cut := len(parkedID+as) + 1
	var taken string
	found, err := tx.one(`SELECT r.id FROM resource p JOIN resource r ON r.id = substr(p.id, CAST(? AS INTEGER))
		WHERE p.id >= ? AND p.id < ? ORDER BY r.id LIMIT 1`, []any{cut, from, to}, &taken)
	if err != nil {
		return err
	}
	if found {
		return fault.New(fault.Exists, "%s exists again: delete it first", taken)
	}
	if _, err := tx.copyResources("substr(id, CAST(? AS INTEGER))", cut, "substr(type, CAST(? AS INTEGER))", len(parkedType)+1,
		"id >= ? AND id < ?", []any{from, to}); err != nil {
		return err
	}
	return DropParked(tx, as)
}

// DropParked removes what was parked under a name.
func DropParked(tx *Tx, as string) error {
	from, to := under(parkedID + as)
	return tx.dropResources("id >= ? AND id < ?", from, to)
}

// copyResources writes resources again, with their keys, under IDs and types that follow from theirs, each by a value. They are
// removed only then, for keys need them at any time.
func (tx *Tx) copyResources(id string, idBy any, kind string, kindBy any, which string, args []any) (int64, error) {
	n, err := tx.exec("INSERT INTO resource (id, type, doc, version, created, updated) SELECT "+id+", "+kind+
		", doc, version, created, updated FROM resource WHERE "+which, append([]any{idBy, kindBy}, args...)...)
	if err != nil || n == 0 {
		return 0, err
	}
	_, err = tx.exec("INSERT INTO resource_key (type, name, id) SELECT "+kind+", name, "+id+
		" FROM resource_key WHERE id IN (SELECT id FROM resource WHERE "+which+")", append([]any{kindBy, idBy}, args...)...)
	return n, err
}

func (tx *Tx) dropResources(which string, args ...any) error {
	for _, table := range []string{"resource_key", "resource"} {
		if _, err := tx.exec("DELETE FROM "+table+" WHERE "+which, args...); err != nil {
			return err
		}
	}
	return tx.changed()
}

package meta

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// Get reads a resource and its version. Errors: fault.NotFound.
func Get[R acr.Resource](tx *Tx, id arm.ID) (R, int64, error) { return get[R](tx, id, "") }

// Hold is Get in a transaction that will write the resource: until it ends nobody else does.
func Hold[R acr.Resource](tx *Tx, id arm.ID) (R, int64, error) {
	return get[R](tx, id, tx.db.d.lockRow)
}

func get[R acr.Resource](tx *Tx, id arm.ID, lock string) (R, int64, error) {
	var r R
	var doc []byte
	var version int64
	found, err := tx.one("SELECT doc, version FROM resource WHERE id = ? "+lock, []any{id.Key()}, &doc, &version)
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
		if err != nil {
			return err
		}
		return errors.Join(tx.putKeys(id, r), tx.changed(), tx.auditChange(id, doc))
	}
	n, err := tx.exec("UPDATE resource SET doc = ?, version = version + 1, updated = ? WHERE id = ? AND version = ?",
		doc, now, id.Key(), version)
	if err == nil && n == 0 {
		err = fault.New(fault.Precondition, "%s %s was changed meanwhile: read it again", id.Type(), id.Name())
	}
	if err != nil {
		return err
	}
	if _, err := tx.exec("DELETE FROM resource_key WHERE id = ?", id.Key()); err != nil {
		return err
	}
	return errors.Join(tx.putKeys(id, r), tx.changed(), tx.auditChange(id, doc))
}

// Keyed is a resource that is found by more than its ID.
type Keyed interface {
	// Keys are what Find finds it by, such as "upn:owner@acre.localhost". They need not be unique.
	Keys() []string
}

func (tx *Tx) putKeys(id arm.ID, r acr.Resource) error {
	k, ok := r.(Keyed)
	if !ok {
		return nil
	}
	for _, name := range k.Keys() {
		if _, err := tx.exec("INSERT INTO resource_key (type, name, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			r.ResourceType(), name, id.Key()); err != nil {
			return err
		}
	}
	return nil
}

// changed moves the generation on.
func (tx *Tx) changed() error {
	_, err := tx.exec("UPDATE generation SET value = value + 1 WHERE name = 'resource'")
	return err
}

// Generation counts the changes of all resources: while it stays the same, so do they.
func (tx *Tx) Generation() (int64, error) {
	var n int64
	_, err := tx.one("SELECT value FROM generation WHERE name = 'resource'", nil, &n)
	return n, err
}

// Delete removes a resource; existed is false where there was none.
func Delete(tx *Tx, id arm.ID) (existed bool, err error) {
	if _, err := tx.exec("DELETE FROM resource_key WHERE id = ?", id.Key()); err != nil {
		return false, err
	}
	n, err := tx.exec("DELETE FROM resource WHERE id = ?", id.Key())
	if err != nil || n == 0 {
		return false, err
	}
	return true, errors.Join(tx.changed(), tx.auditChange(id, nil))
}

// DeleteUnder removes all resources below a parent, of whatever type.
func DeleteUnder(tx *Tx, parent string) (int64, error) {
	from, to := under(parent)
	if _, err := tx.exec("DELETE FROM resource_key WHERE id >= ? AND id < ?", from, to); err != nil {
		return 0, err
	}
	n, err := tx.exec("DELETE FROM resource WHERE id >= ? AND id < ?", from, to)
	if err != nil || n == 0 {
		return 0, err
	}
	return n, errors.Join(tx.changed(), tx.auditRemoval(parent, n))
}

// List reads resources of a type whose ID key comes after after, at most limit, by ID.
func List[R acr.Resource](tx *Tx, after string, limit int) ([]R, error) {
	var zero R
	return docs[R](tx, "SELECT doc FROM resource WHERE type = ? AND id > ? ORDER BY id LIMIT ?", zero.ResourceType(), after, limit)
}

// ListUnder is List for those below a resource or scope: its ID, then a slash.
func ListUnder[R acr.Resource](tx *Tx, parent, after string, limit int) ([]R, error) {
	var zero R
	from, to := under(parent)
	return docs[R](tx, "SELECT doc FROM resource WHERE type = ? AND id > ? AND id >= ? AND id < ? ORDER BY id LIMIT ?",
		zero.ResourceType(), strings.ToLower(after), from, to, limit)
}

// CountUnder counts resources of a type below a resource or scope.
func CountUnder[R acr.Resource](tx *Tx, parent string) (int, error) {
	var zero R
	return CountKind(tx, zero.ResourceType(), parent)
}

// CountKind is CountUnder for a type by its name.
func CountKind(tx *Tx, kind, parent string) (int, error) {
	var n int
	from, to := under(parent)
	_, err := tx.one("SELECT COUNT(*) FROM resource WHERE type = ? AND id >= ? AND id < ?", []any{kind, from, to}, &n)
	return n, err
}

// KeysUnder lists the keys of resources of a type, by its name, below a resource or scope, at most limit.
func KeysUnder(tx *Tx, kind, parent string, limit int) ([]string, error) {
	from, to := under(parent)
	return list[string](tx, "SELECT id FROM resource WHERE type = ? AND id >= ? AND id < ? ORDER BY id LIMIT ?", kind, from, to, limit)
}

// under is the range of the keys below a parent: / is followed by 0.
func under(parent string) (from, to string) {
	parent = strings.ToLower(strings.TrimSuffix(parent, "/"))
	return parent + "/", parent + "0"
}

// Find reads resources by one of their Keys, by ID.
func Find[R acr.Resource](tx *Tx, key string, limit int) ([]R, error) {
	var zero R
	return docs[R](tx, `SELECT r.doc FROM resource_key k JOIN resource r ON r.id = k.id WHERE k.type = ? AND k.name = ?
		ORDER BY k.id LIMIT ?`, zero.ResourceType(), key, limit)
}

// FindIDs is Find for their IDs, all of whose letters are in lower case.
func FindIDs[R acr.Resource](tx *Tx, key string, limit int) ([]arm.ID, error) {
	var zero R
	var out []arm.ID
	err := tx.each("SELECT id FROM resource_key WHERE type = ? AND name = ? ORDER BY id LIMIT ?", []any{zero.ResourceType(), key, limit},
		func(scan func(...any) error) error {
			var key string
			if err := scan(&key); err != nil {
				return err
			}
			id, err := arm.ParseID(key)
			out = append(out, id)
			return err
		})
	return out, err
}

// FindUnder reads resources one of whose Keys is key, or key, a slash and more: by ID, after one, at most limit.
func FindUnder[R acr.Resource](tx *Tx, key, after string, limit int) ([]R, error) {
	var zero R
	key = strings.TrimSuffix(key, "/")
	return docs[R](tx, `SELECT r.doc FROM resource r WHERE r.id > ? AND r.id IN (SELECT k.id FROM resource_key k
		WHERE k.type = ? AND (k.name = ? OR k.name >= ? AND k.name < ?)) ORDER BY r.id LIMIT ?`,
		after, zero.ResourceType(), key, key+"/", key+"0", limit)
}

func docs[R acr.Resource](tx *Tx, query string, args ...any) ([]R, error) {
	var zero R
	var out []R
	err := tx.each(query, args,
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

// Use notes that something was used now; what was noted within a minute before stays.
func (tx *Tx) Use(id string) error {
	now := tx.now()
	_, err := tx.exec(`INSERT INTO used (id, at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at WHERE used.at < ?`,
		id, now, now-time.Minute.Microseconds())
	return err
}

// LastUsed is when something was last used; the zero time where it never was.
func (tx *Tx) LastUsed(id string) (time.Time, error) {
	var at int64
	found, err := tx.one("SELECT at FROM used WHERE id = ?", []any{id}, &at)
	if err != nil || !found {
		return time.Time{}, err
	}
	return time.UnixMicro(at).UTC(), nil
}

// UsedBetween is when things were last used whose IDs lie between two, both included.
func (tx *Tx) UsedBetween(from, to string) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	err := tx.each("SELECT id, at FROM used WHERE id >= ? AND id <= ?", []any{from, to}, func(scan func(...any) error) error {
		var id string
		var at int64
		err := scan(&id, &at)
		out[id] = time.UnixMicro(at).UTC()
		return err
	})
	return out, err
}

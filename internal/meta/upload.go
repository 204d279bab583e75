package meta

import (
	"crypto/hmac"
	"crypto/sha256"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Upload is a blob on its way in.
type Upload struct {
	ID         string
	Registry   int64
	Repository string
	Object     string // the bucket's key; "" while it is small
	Size       int64  // bytes that are durable; Cancelled where it was
	State      []byte // what blob.Store needs to go on with the object
	Body       []byte // what came so far, while it is small
}

// Cancelled is the size of an upload that was cancelled. Its row stays until the upload would have expired, so that
// its ID is not taken for that of one just begun.
const Cancelled = -1

// UploadUnknown is the error for an upload that is not there.
func UploadUnknown(id string) error {
	return fault.New(fault.UploadUnknown, "blob upload %.60s unknown to registry: begin a new one", id)
}

// DerivedKey is a key of the installation's for one purpose, made of the seal key.
func (db *DB) DerivedKey(purpose string) []byte {
	mac := hmac.New(sha256.New, db.opt.SealKey)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// Upload finds an upload's row; found is false for one that has none, such as one just begun.
func (tx *Tx) Upload(id string) (u Upload, found bool, err error) {
	u.ID = id
	found, err = tx.one("SELECT registry, repository, object, size, state, body FROM upload WHERE id = ?", []any{id},
		&u.Registry, &u.Repository, &u.Object, &u.Size, &u.State, &u.Body)
	return u, found, err
}

// HoldUpload takes an upload until a time for one node, where nodes share the database; taken is false while
// another has it. The row is made where there is none.
func (tx *Tx) HoldUpload(u Upload, until time.Time) (taken bool, err error) {
	now := tx.now()
	n, err := tx.exec(`INSERT INTO upload (id, registry, repository, object, size, touched, held) VALUES (?, ?, ?, '', 0, ?, ?)
		ON CONFLICT (id) DO UPDATE SET held = excluded.held WHERE upload.held < ?`,
		u.ID, u.Registry, u.Repository, now, until.UnixMicro(), now)
	return n > 0, err
}

// ExtendUpload keeps a held upload held; the zero time lets go of it.
func (tx *Tx) ExtendUpload(id string, until time.Time) error {
	var held int64
	if !until.IsZero() {
		held = until.UnixMicro()
	}
	_, err := tx.exec("UPDATE upload SET held = ?, touched = ? WHERE id = ?", held, tx.now(), id)
	return err
}

// SaveUpload writes down how far an upload got, or that it was cancelled, and lets go of it.
func (tx *Tx) SaveUpload(u Upload) error {
	_, err := tx.exec(`INSERT INTO upload (id, registry, repository, object, size, state, body, touched) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET object = excluded.object, size = excluded.size, state = excluded.state,
		body = excluded.body, touched = excluded.touched, held = 0`,
		u.ID, u.Registry, u.Repository, u.Object, u.Size, u.State, u.Body, tx.now())
	return err
}

// EndUpload forgets an upload whose blob is published; ended is false where its row was gone already.
func (tx *Tx) EndUpload(id string) (ended bool, err error) {
	n, err := tx.exec("DELETE FROM upload WHERE id = ? AND size >= 0", id)
	return n > 0, err
}

// StaleUploads lists uploads that nobody touched since before.
func (tx *Tx) StaleUploads(before time.Time, limit int) ([]Upload, error) {
	var out []Upload
	err := tx.each("SELECT id, registry, repository, object, size FROM upload WHERE touched < ? ORDER BY touched LIMIT ?",
		[]any{before.UnixMicro(), limit}, func(scan func(...any) error) error {
			var u Upload
			err := scan(&u.ID, &u.Registry, &u.Repository, &u.Object, &u.Size)
			out = append(out, u)
			return err
		})
	return out, err
}

// SweepUpload ends an upload if it is still untouched since before, and makes its object litter.
func (tx *Tx) SweepUpload(u Upload, before time.Time) (gone bool, err error) {
	n, err := tx.exec("DELETE FROM upload WHERE id = ? AND touched < ? AND held < ?", u.ID, before.UnixMicro(), tx.now())
	if err != nil || n == 0 {
		return false, err
	}
	if u.Object == "" {
		return true, nil
	}
	return true, tx.Litter(u.Object, max(u.Size, 0))
}

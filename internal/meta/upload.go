package meta

import (
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Upload is a blob on its way in.
type Upload struct {
	ID         string // the bucket's key too
	Registry   int64
	Repository string
	Size       int64  // bytes that are durable
	State      []byte // what blob.Store needs to go on; nil before the first byte
}

// UploadUnknown is the error for an upload that is not there.
func UploadUnknown(id string) error {
	return fault.New(fault.UploadUnknown, "blob upload %.60s unknown to registry: begin a new one", id)
}

// PutUpload begins an upload.
func (tx *Tx) PutUpload(u Upload) error {
	_, err := tx.exec("INSERT INTO upload (id, registry, repository, size, touched) VALUES (?, ?, ?, 0, ?)",
		u.ID, u.Registry, u.Repository, tx.now())
	return err
}

// Upload finds an upload. Errors: BLOB_UPLOAD_UNKNOWN.
func (tx *Tx) Upload(registry int64, repo, id string) (Upload, error) {
	u := Upload{ID: id, Registry: registry, Repository: repo}
	found, err := tx.one("SELECT size, state FROM upload WHERE id = ? AND registry = ? AND repository = ?",
		[]any{id, registry, repo}, &u.Size, &u.State)
	if err == nil && !found {
		err = UploadUnknown(id)
	}
	return u, err
}

// HoldUpload takes an upload until a time for one node, where nodes share the database; taken is false while
// another has it. The zero time lets go.
func (tx *Tx) HoldUpload(id string, until time.Time) (taken bool, err error) {
	if until.IsZero() {
		_, err = tx.exec("UPDATE upload SET held = 0 WHERE id = ?", id)
		return err == nil, err
	}
	n, err := tx.exec("UPDATE upload SET held = ? WHERE id = ? AND held < ?", until.UnixMicro(), id, tx.now())
	return n > 0, err
}

// ExtendUpload keeps a held upload held.
func (tx *Tx) ExtendUpload(id string, until time.Time) error {
	_, err := tx.exec("UPDATE upload SET held = ?, touched = ? WHERE id = ?", until.UnixMicro(), tx.now(), id)
	return err
}

// SaveUpload writes down how far an upload got, and lets go of it. Errors: BLOB_UPLOAD_UNKNOWN where it was ended
// meanwhile.
func (tx *Tx) SaveUpload(u Upload) error {
	n, err := tx.exec("UPDATE upload SET size = ?, state = ?, touched = ?, held = 0 WHERE id = ?", u.Size, u.State, tx.now(), u.ID)
	if err == nil && n == 0 {
		err = UploadUnknown(u.ID)
	}
	return err
}

// EndUpload forgets an upload; ended is false where it was gone already.
func (tx *Tx) EndUpload(id string) (ended bool, err error) {
	n, err := tx.exec("DELETE FROM upload WHERE id = ?", id)
	return n > 0, err
}

// StaleUploads lists uploads that nobody touched since before.
func (tx *Tx) StaleUploads(before time.Time, limit int) ([]Upload, error) {
	var out []Upload
	err := tx.each("SELECT id, registry, repository, size FROM upload WHERE touched < ? ORDER BY touched LIMIT ?",
		[]any{before.UnixMicro(), limit}, func(scan func(...any) error) error {
			var u Upload
			err := scan(&u.ID, &u.Registry, &u.Repository, &u.Size)
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
	return true, tx.Litter(u.ID, u.Size)
}

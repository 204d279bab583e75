package meta

// Owner is what values are kept with: a repository, or a tag or a manifest of it.
type Owner struct {
	Repository  int64
	Tag, Digest string
}

func (o Owner) args(more ...any) []any { return append([]any{o.Repository, o.Tag, o.Digest}, more...) }

const ownedBy = "repository = ? AND tag = ? AND digest = ?"

// MetadataNames lists the names of an owner's values in byte order.
func (tx *Tx) MetadataNames(o Owner) ([]string, error) {
	return list[string](tx, "SELECT name FROM metadata WHERE "+ownedBy+" ORDER BY name", o.args()...)
}

// Metadata reads a value.
func (tx *Tx) Metadata(o Owner, name string) (value []byte, found bool, err error) {
	found, err = tx.one("SELECT value FROM metadata WHERE "+ownedBy+" AND name = ?", o.args(name), &value)
	return value, found, err
}

// PutMetadata keeps a value in place of the one before.
func (tx *Tx) PutMetadata(o Owner, name string, value []byte) error {
	_, err := tx.exec(`INSERT INTO metadata (repository, tag, digest, name, value) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (repository, tag, digest, name) DO UPDATE SET value = excluded.value`, o.args(name, value)...)
	return err
}

// DeleteMetadata removes a value; found is false where there was none.
func (tx *Tx) DeleteMetadata(o Owner, name string) (found bool, err error) {
	n, err := tx.exec("DELETE FROM metadata WHERE "+ownedBy+" AND name = ?", o.args(name)...)
	return n > 0, err
}

// forgetMetadata removes all values of an owner that goes.
func (tx *Tx) forgetMetadata(o Owner) error {
	_, err := tx.exec("DELETE FROM metadata WHERE "+ownedBy, o.args()...)
	return err
}

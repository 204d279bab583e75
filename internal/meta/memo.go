package meta

import "time"

// Remember keeps a memo until a time. fresh is false, and nothing is changed, where there is one that has not lapsed.
func (tx *Tx) Remember(kind, name string, doc []byte, until time.Time) (fresh bool, err error) {
	if doc == nil {
		doc = []byte{}
	}
	n, err := tx.exec(`INSERT INTO memo (kind, name, doc, until) VALUES (?, ?, ?, ?)
		ON CONFLICT (kind, name) DO UPDATE SET doc = excluded.doc, until = excluded.until WHERE memo.until <= ?`,
		kind, name, doc, until.UnixMicro(), tx.now())
	return n > 0, err
}

// Recall reads a memo; found is false where there is none or it has lapsed.
func (tx *Tx) Recall(kind, name string) (doc []byte, found bool, err error) {
	found, err = tx.one("SELECT doc FROM memo WHERE kind = ? AND name = ? AND until > ?", []any{kind, name, tx.now()}, &doc)
	return doc, found, err
}

// Amend replaces a memo that has not lapsed and still says old; done tells whether it did.
func (tx *Tx) Amend(kind, name string, old, doc []byte) (done bool, err error) {
	n, err := tx.exec("UPDATE memo SET doc = ? WHERE kind = ? AND name = ? AND doc = ? AND until > ?", doc, kind, name, old, tx.now())
	return n > 0, err
}

// Forget removes a memo that has not lapsed and still says old; done tells whether it did, so that of several who take a
// memo one succeeds.
func (tx *Tx) Forget(kind, name string, old []byte) (done bool, err error) {
	n, err := tx.exec("DELETE FROM memo WHERE kind = ? AND name = ? AND doc = ? AND until > ?", kind, name, old, tx.now())
	return n > 0, err
}

// CountMemos counts the memos of a kind that have not lapsed, up to limit.
func (tx *Tx) CountMemos(kind string, limit int) (int, error) {
	var n int
	_, err := tx.one("SELECT COUNT(*) FROM (SELECT 1 FROM memo WHERE kind = ? AND until > ? LIMIT ?) AS live",
		[]any{kind, tx.now(), limit}, &n)
	return n, err
}

// Lapse removes memos whose time is over.
func (tx *Tx) Lapse() error {
	_, err := tx.exec("DELETE FROM memo WHERE until <= ?", tx.now())
	return err
}

package meta

import (
	"encoding/json"
	"time"

	"github.com/acre-registry/acre/internal/acr"
)

// Job is a row of the queue: an intent that was promised.
type Job struct {
	ID       int64
	Kind     string
	Args     json.RawMessage
	Attempts int // this one included
}

// Enqueue promises an intent: it becomes a job if this transaction commits.
func (tx *Tx) Enqueue(i acr.Intent) error { return tx.EnqueueAt(i, tx.db.opt.Now()) }

// EnqueueAt is Enqueue for a time not before due.
func (tx *Tx) EnqueueAt(i acr.Intent, due time.Time) error {
	args, err := json.Marshal(i)
	if err != nil {
		return err
	}
	_, err = tx.exec("INSERT INTO job (kind, args, due, created) VALUES (?, ?, ?, ?)", i.Kind(), args, due.UnixMicro(), tx.now())
	return err
}

// ClaimJobs takes jobs that are due for as long as until, at most limit, oldest first. Each counts as an attempt.
func (tx *Tx) ClaimJobs(until time.Time, limit int) ([]Job, error) {
	now := tx.now()
	ids, err := list[int64](tx, `SELECT id FROM job WHERE dead = 0 AND due <= ? AND claimed < ? ORDER BY due LIMIT ? `+
		tx.db.d.skipLock, now, now, limit)
	if err != nil {
		return nil, err
	}
	var out []Job
	for _, id := range ids {
		j := Job{ID: id}
		var args []byte
		found, err := tx.one(`UPDATE job SET claimed = ?, attempts = attempts + 1 WHERE id = ? AND claimed < ?
			RETURNING kind, args, attempts`, []any{until.UnixMicro(), id, now}, &j.Kind, &args, &j.Attempts)
		if err != nil {
			return nil, err
		}
		if found {
			j.Args = args
			out = append(out, j)
		}
	}
	return out, nil
}

// FinishJob forgets a job that is done.
func (tx *Tx) FinishJob(id int64) error {
	_, err := tx.exec("DELETE FROM job WHERE id = ?", id)
	return err
}

// RetryJob lets go of a failed job until due; with dead it is kept for people to see and not tried again.
func (tx *Tx) RetryJob(id int64, due time.Time, failure string, dead bool) error {
	var since int64
	if dead {
		since = tx.now()
	}
	_, err := tx.exec("UPDATE job SET claimed = 0, due = ?, failure = ?, dead = ? WHERE id = ?", due.UnixMicro(), failure, since, id)
	return err
}

// Jobs counts the jobs that wait or run, and those given up.
func (tx *Tx) Jobs() (waiting, dead int64, err error) {
	_, err = tx.one("SELECT COUNT(CASE WHEN dead = 0 THEN 1 END), COUNT(CASE WHEN dead > 0 THEN 1 END) FROM job", nil, &waiting, &dead)
	return waiting, dead, err
}

// Cursor is how far a follower has read a registry's log; 0 for one that is new.
func (tx *Tx) Cursor(follower string, registry int64) (int64, error) {
	var seq int64
	_, err := tx.one("SELECT seq FROM cursor WHERE follower = ? AND registry = ?", []any{follower, registry}, &seq)
	return seq, err
}

// SetCursor moves a follower from one place to another; moved is false where it no longer stands there.
func (tx *Tx) SetCursor(follower string, registry, from, to int64) (moved bool, err error) {
	if _, err := tx.exec("INSERT INTO cursor (follower, registry, seq) VALUES (?, ?, 0) ON CONFLICT DO NOTHING", follower, registry); err != nil {
		return false, err
	}
	n, err := tx.exec("UPDATE cursor SET seq = ? WHERE follower = ? AND registry = ? AND seq = ?", to, follower, registry, from)
	return n > 0, err
}

// Lease takes or keeps a lease for holder until a time; taken is false while another has it.
func (tx *Tx) Lease(name, holder string, until time.Time) (taken bool, err error) {
	n, err := tx.exec(`INSERT INTO lease (name, holder, until) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE
		SET holder = excluded.holder, until = excluded.until WHERE lease.holder = excluded.holder OR lease.until < ?`,
		name, holder, until.UnixMicro(), tx.now())
	return n > 0, err
}

// Due is when what a lease guards is to be done next, in microseconds; 0 if never done.
func (tx *Tx) Due(name string) (int64, error) {
	var due int64
	_, err := tx.one("SELECT due FROM lease WHERE name = ?", []any{name}, &due)
	return due, err
}

// SetDue writes down when it is to be done next, and lets go of the lease, if holder still has it.
func (tx *Tx) SetDue(name, holder string, due time.Time) error {
	_, err := tx.exec("UPDATE lease SET due = ?, until = 0 WHERE name = ? AND holder = ?", due.UnixMicro(), name, holder)
	return err
}

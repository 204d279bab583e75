package meta

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
)

// Job is a row of the queue: an intent that was promised.
type Job struct {
	ID       int64
	Kind     string
	Args     json.RawMessage
	Attempts int // this one included; with the ID it names one claim
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

// JobsDue tells whether ClaimJobs would find a job.
func (tx *Tx) JobsDue(w Wanted) (bool, error) {
	if len(w.Kinds) == 0 {
		return false, nil
	}
	query, args := w.where(tx.now())
	var id int64
	return tx.one("SELECT id FROM job WHERE "+query+" LIMIT 1", args, &id)
}

// Wanted says which jobs to claim.
type Wanted struct {
	Kinds  []string
	Except []int64 // those that run in this process: when the clock jumps, their claims seem to have run out
}

// where is the condition for jobs that are wanted and free. The number of kinds is one for each process and that of
// exceptions is small, so that the texts stay few.
func (w Wanted) where(now int64) (query string, args []any) {
	args = []any{now, now}
	for _, kind := range w.Kinds {
		args = append(args, kind)
	}
	query = "dead = 0 AND due <= ? AND claimed < ? AND kind IN (?" + strings.Repeat(", ?", len(w.Kinds)-1) + ")"
	if len(w.Except) > 0 {
		for _, id := range w.Except {
			args = append(args, id)
		}
		query += " AND id NOT IN (?" + strings.Repeat(", ?", len(w.Except)-1) + ")"
	}
	return query, args
}

// ClaimJobs takes jobs that are wanted and due for as long as until, at most limit, oldest first. Each counts as an
// attempt.
func (tx *Tx) ClaimJobs(w Wanted, until time.Time, limit int) ([]Job, error) {
	if len(w.Kinds) == 0 {
		return nil, nil
	}
	now := tx.now()
	query, args := w.where(now)
	ids, err := list[int64](tx, "SELECT id FROM job WHERE "+query+" ORDER BY due, id LIMIT ? "+tx.db.d.skipLock, append(args, limit)...)
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

// HoldJob keeps a claim until a time; held is false where another has claimed the job since, or it is gone.
func (tx *Tx) HoldJob(j Job, until time.Time) (held bool, err error) {
	n, err := tx.exec("UPDATE job SET claimed = ? WHERE id = ? AND attempts = ? AND claimed > 0 AND dead = 0",
		until.UnixMicro(), j.ID, j.Attempts)
	return n > 0, err
}

// FinishJob forgets a job that is done, whoever has claimed it since.
func (tx *Tx) FinishJob(j Job) error {
	_, err := tx.exec("DELETE FROM job WHERE id = ?", j.ID)
	return err
}

// RetryJob lets go of a job until due, unless another has claimed it since. failure is what the attempt ended with.
func (tx *Tx) RetryJob(j Job, due time.Time, failure string) error {
	_, err := tx.exec("UPDATE job SET claimed = 0, due = ?, failure = ? WHERE id = ? AND attempts = ?",
		due.UnixMicro(), clean(failure), j.ID, j.Attempts)
	return err
}

// ReturnJob lets go of a job at once, as if it had not been claimed.
func (tx *Tx) ReturnJob(j Job) error {
	_, err := tx.exec("UPDATE job SET claimed = 0, attempts = attempts - 1 WHERE id = ? AND attempts = ?", j.ID, j.Attempts)
	return err
}

// BuryJob gives a job up: it is kept for people to see and not tried again.
func (tx *Tx) BuryJob(j Job, failure string) error {
	_, err := tx.exec("UPDATE job SET claimed = 0, failure = ?, dead = ? WHERE id = ? AND attempts = ?",
		clean(failure), tx.now(), j.ID, j.Attempts)
	return err
}

// clean makes any text one that both databases keep, of a size that people read.
func clean(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text[:min(len(text), 2000)], "\x00", ""), "")
}

// DeadJob is a job that was given up.
type DeadJob struct {
	Job
	Failure string
	Since   time.Time
}

// DeadJobs lists jobs that were given up, the newest first, at most limit.
func (tx *Tx) DeadJobs(limit int) ([]DeadJob, error) {
	var out []DeadJob
	err := tx.each("SELECT id, kind, args, attempts, failure, dead FROM job WHERE dead > 0 ORDER BY dead DESC, id DESC LIMIT ?",
		[]any{limit}, func(scan func(...any) error) error {
			var j DeadJob
			var args []byte
			var since int64
			err := scan(&j.ID, &j.Kind, &args, &j.Attempts, &j.Failure, &since)
			j.Args, j.Since = args, time.UnixMicro(since).UTC()
			out = append(out, j)
			return err
		})
	return out, err
}

// Jobs counts the jobs that wait or run, and those given up.
func (tx *Tx) Jobs() (waiting, dead int64, err error) {
	_, err = tx.one("SELECT COUNT(CASE WHEN dead = 0 THEN 1 END), COUNT(CASE WHEN dead > 0 THEN 1 END) FROM job", nil, &waiting, &dead)
	return waiting, dead, err
}

// JobKinds lists the kinds of the jobs that wait or run.
func (tx *Tx) JobKinds() ([]string, error) {
	return list[string](tx, "SELECT DISTINCT kind FROM job WHERE dead = 0 ORDER BY kind")
}

// Behind lists the registries whose log goes on after a follower's place.
func (tx *Tx) Behind(follower string) ([]int64, error) {
	return list[int64](tx, `SELECT r.id FROM registry r LEFT JOIN cursor c ON c.registry = r.id AND c.follower = ?
		WHERE r.seq > COALESCE(c.seq, 0) ORDER BY r.id`, follower)
}

// Cursor is how far a follower has read a registry's log; 0 for one that is new.
func (tx *Tx) Cursor(follower string, registry int64) (int64, error) {
	var seq int64
	_, err := tx.one("SELECT seq FROM cursor WHERE follower = ? AND registry = ?", []any{follower, registry}, &seq)
	return seq, err
}

// SetCursor moves a follower from one place to another; moved is false where it no longer stands there. From 0 to 0
// it makes a new follower known, so that TrimLog waits for it.
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

// Release lets go of a lease, if holder still has it.
func (tx *Tx) Release(name, holder string) error {
	_, err := tx.exec("UPDATE lease SET until = 0 WHERE name = ? AND holder = ?", name, holder)
	return err
}

// Due is when what a lease guards is to be done next; the zero time if that was never said.
func (tx *Tx) Due(name string) (time.Time, error) {
	var due int64
	_, err := tx.one("SELECT due FROM lease WHERE name = ?", []any{name}, &due)
	if err != nil || due == 0 {
		return time.Time{}, err
	}
	return time.UnixMicro(due).UTC(), nil
}

// SetDue writes down when it is to be done next, and lets go of the lease, if holder still has it.
func (tx *Tx) SetDue(name, holder string, due time.Time) error {
	_, err := tx.exec("UPDATE lease SET due = ?, until = 0 WHERE name = ? AND holder = ?", due.UnixMicro(), name, holder)
	return err
}

// free lets go of every claim and lease, for a process that has the store to itself: who held them is dead.
func (tx *Tx) free() error {
	for _, table := range []string{"job", "lane"} {
		if _, err := tx.exec("UPDATE " + table + " SET claimed = 0 WHERE claimed > 0"); err != nil {
			return err
		}
	}
	_, err := tx.exec("UPDATE lease SET until = 0 WHERE until > 0")
	return err
}

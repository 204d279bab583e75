package auth

import "time"

// staleness is how old what is known of registries, tokens, roles and people may be before the store is asked whether
// anything changed; half of what is promised, so that slow readers keep the promise, too.
const (
	staleness = time.Second
	promised  = 2 * time.Second
)

// epoch is a state of all resources: while the generation stays the same, so do they.
type epoch struct {
	generation int64     // 0: not known, and so nothing is kept by it
	since      time.Time // when it was seen first here
}

// stamp says as of when something was read.
type stamp struct {
	epoch
	at    time.Time
	brief bool // it may change without a new generation, as what other issuers say does: it is kept for a second
}

// holds is whether what was read still counts in an epoch. Principals may answer with something a second old: what was
// read of them in an epoch's first second is read once more after it.
func (s *stamp) holds(in epoch, now func() time.Time) bool {
	if s.generation != in.generation || in.generation == 0 {
		return false
	}
	if s.brief {
		age := now().Sub(s.at)
		return age >= 0 && age < staleness
	}
	settled := in.since.Add(staleness)
	return !s.at.Before(settled) || now().Before(settled)
}

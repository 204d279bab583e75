package content

import (
	"context"
	"time"
)

const (
	// restShare is how many times as long as it works a gentle pass rests, so that it takes a tenth of what there is.
	restShare = 9
	// leastRest is what is rested at once: steps that together owe less go on.
	leastRest = 20 * time.Millisecond
	// longestRest bounds what one step can owe, so that a pass ends on a slow store too.
	longestRest = time.Second
)

// pace is how a pass gives way to requests. A step's time is taken with what it waited for the store and the disk: where
// they are busy the pass does less.
type pace struct {
	gentle bool
	hurry  func() bool // whether to go on without a rest after all
	owed   time.Duration
}

// step does fn unless ctx has ended, and then rests.
func (p *pace) step(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start := time.Now()
	if err := fn(); err != nil {
		return err
	}
	return p.rest(ctx, time.Since(start))
}

// rest follows work that took so long. It breaks off, with ctx's error, when ctx ends.
func (p *pace) rest(ctx context.Context, took time.Duration) error {
	if !p.gentle {
		return ctx.Err()
	}
	p.owed = min(p.owed+restShare*took, longestRest)
	switch {
	case p.owed < leastRest:
		return ctx.Err()
	case p.hurry():
		p.owed = 0
		return ctx.Err()
	}
	rest := time.NewTimer(p.owed)
	defer rest.Stop()
	p.owed = 0
	select {
	case <-rest.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package job

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// A job that failed maxAttempts times is given up: some two hours after it was due.
const (
	maxAttempts = 24
	firstPause  = time.Second
	longPause   = 10 * time.Minute
)

// pause is how long to wait after so many failures, the last of which was err: twice as long each time, less up to a
// quarter, so that what failed together does not come back together.
func pause(failures int, err error) time.Duration {
	p := longPause
	if failures <= 10 {
		p = min(firstPause<<(failures-1), longPause)
	}
	return max(p-rand.N(p/4), fault.Of(err).After)
}

var errLost = errors.New("the claim was lost to another node")

// claim is what keeps others away from a piece of work.
type claim struct {
	until time.Time
	renew func(tx *meta.Tx, until time.Time) (held bool, err error)
}

// keep runs fn and renews the claim meanwhile. When the claim is lost, or could be before the next try to renew it, the
// context of fn ends; an error of fn is then errLost.
func (q *Queue) keep(ctx context.Context, c claim, fn func(context.Context) error) error {
	work, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(claimTime / 3)
		defer tick.Stop()
		for {
			select {
			case <-work.Done(): // when Run ends too: what is left of the claim outlasts its patience
				return
			case <-tick.C:
			}
			if !q.renew(work, &c) {
				cancel(errLost)
				return
			}
		}
	})
	err := safely(work, fn)
	if err != nil && context.Cause(work) == errLost {
		err = errLost
	}
	cancel(nil)
	renewing.Wait()
	return err
}

func (q *Queue) renew(ctx context.Context, c *claim) bool {
	until, held := q.opt.Now().Add(claimTime), false
	err := q.opt.DB.Note(ctx, func(tx *meta.Tx) (err error) {
		held, err = c.renew(tx, until)
		return err
	})
	if err != nil {
		return q.opt.Now().Add(claimTime / 3).Before(c.until)
	}
	c.until = until
	return held
}

// safely makes a panic an error.
func safely(ctx context.Context, fn func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(ctx)
}

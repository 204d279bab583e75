package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress is a line on a terminal that says how far long work is. It shows after a second, and leaves nothing
// behind. Elsewhere than on a terminal it is silent.
type progress struct {
	out  io.Writer // nil = silent
	what string

	mu    sync.Mutex
	next  time.Time // when to draw again
	drawn bool
}

func (a *app) progress(what string) *progress {
	p := &progress{what: what, next: time.Now().Add(time.Second)}
	if f, ok := terminal(a.Stderr); ok && !a.quiet {
		p.out = f
	}
	return p
}

// at says that done of total are finished; a total of 0 is not known.
func (p *progress) at(done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.out == nil || now.Before(p.next) {
		return
	}
	p.next, p.drawn = now.Add(100*time.Millisecond), true
	if total > 0 {
		fmt.Fprintf(p.out, "\r\x1b[K%s: %d of %d", p.what, done, total)
	} else {
		fmt.Fprintf(p.out, "\r\x1b[K%s: %d", p.what, done)
	}
}

// note names what is being worked on from now on.
func (p *progress) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what = what
}

// spin shows on a terminal that something is waited for, from a second on, until stop is called.
func (a *app) spin(what string) (stop func()) {
	p := a.progress(what)
	if p.out == nil {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-quit:
				p.end()
				return
			case <-tick.C:
				p.turn(i)
			}
		}
	}()
	return func() { close(quit); <-done }
}

// turn draws a spinner's next picture.
func (p *progress) turn(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil || time.Now().Before(p.next) {
		return
	}
	p.drawn = true
	fmt.Fprintf(p.out, "\r\x1b[K%c %s", `|/-\`[i%4], p.what)
}

// end removes the line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.drawn = false
	}
}

package main

import (
	"context"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is one kind of work, done by some workers side by side until count calls were made or, with no
// count, until the time of a round is up. The first error ends it.
type load struct {
	workers int
	count   int
	pace    time.Duration // between the calls of a worker; 0 is at once
	op      func(ctx context.Context, i int) (bytes int64, err error)
}

// sample is what one round of a case came to.
type sample struct {
	requests int
	bytes    int64
	elapsed  time.Duration
	p50, p99 time.Duration
	cpu      float64 // seconds of the server; negative when unknown
	others   float64 // share of the machine that neither server nor harness used; negative when unknown
	direct   float64 // the figure itself, for cases that count or weigh
}

func (s sample) perSecond() float64 { return float64(s.requests) / s.elapsed.Seconds() }
func (s sample) megabytes() float64 { return float64(s.bytes) / 1e6 / s.elapsed.Seconds() }
func (s sample) typical() float64   { return milliseconds(s.p50) }
func (s sample) tail() float64      { return milliseconds(s.p99) }
func (s sample) itself() float64    { return s.direct }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// meter takes the processors' clocks at the start of something.
type meter struct {
	pid                   int
	server, self, machine float64
	known                 bool
	begin                 time.Time
}

func startMeter(pid int) meter {
	u := usageOf(pid)
	return meter{pid, u.cpu, usageOf(os.Getpid()).cpu, machineBusy(), u.ok, time.Now()}
}

// read gives the server's seconds and the share of the machine that others used since the start.
func (m meter) read() (cpu, others float64) {
	elapsed := time.Since(m.begin).Seconds()
	u := usageOf(m.pid)
	if !u.ok || !m.known {
		return -1, -1
	}
	cpu = u.cpu - m.server
	rest := machineBusy() - m.machine - cpu - (usageOf(os.Getpid()).cpu - m.self)
	return cpu, min(1, max(0, rest)/(elapsed*float64(runtime.NumCPU())))
}

// measure runs the load. A load without a count first runs unmeasured for a tenth of the time, so that
// connections stand and both sides have their buffers.
func measure(ctx context.Context, pid int, round time.Duration, l load) (sample, error) {
	var serial atomic.Int64
	if l.count == 0 {
		if _, err := drive(ctx, l, &serial, time.Now().Add(min(round/10, 300*time.Millisecond))); err != nil {
			return sample{}, err
		}
	}
	runtime.GC() // now rather than in the middle
	m := startMeter(pid)
	parts, err := drive(ctx, l, &serial, m.begin.Add(round))
	s := sample{elapsed: time.Since(m.begin)}
	s.cpu, s.others = m.read()
	if err != nil {
		return sample{}, err
	}
	var all []time.Duration
	for _, p := range parts {
		all = append(all, p.took...)
		s.bytes += p.bytes
	}
	s.requests = len(all)
	slices.Sort(all)
	s.p50, s.p99 = percentile(all, 0.50), percentile(all, 0.99)
	return s, nil
}

type part struct {
	took  []time.Duration
	bytes int64
	_     [64]byte // workers write their parts at the same time: keep them off one another's cache line
}

func drive(ctx context.Context, l load, serial *atomic.Int64, deadline time.Time) ([]part, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := make([]part, l.workers)
	var wg sync.WaitGroup
	for w := range parts {
		wg.Go(func() {
			if err := work(ctx, l, serial, deadline, &parts[w]); err != nil {
				cancel(err) // the first one stays
			}
		})
	}
	wg.Wait()
	return parts, context.Cause(ctx)
}

func work(ctx context.Context, l load, serial *atomic.Int64, deadline time.Time, p *part) error {
	due := time.Now()
	for ctx.Err() == nil {
		i := int(serial.Add(1)) - 1
		begin := time.Now()
		if l.count > 0 && i >= l.count || l.count == 0 && len(p.took) > 0 && begin.After(deadline) {
			return nil
		}
		if l.pace > 0 {
			begin = await(ctx, due)
			due = due.Add(l.pace)
		}
		n, err := l.op(ctx, i)
		if err != nil {
			return err
		}
		p.took = append(p.took, time.Since(begin))
		p.bytes += n
	}
	return nil
}

// await waits until due and returns when the call begins to count: when it was due, if the worker was
// still busy with the last one by then, so that a slow answer is not hidden by the calls it held up.
func await(ctx context.Context, due time.Time) time.Time {
	wait := time.Until(due)
	if wait <= 0 {
		return due
	}
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
	return time.Now()
}

// beside keeps one worker per op busy until stop is called, which waits for them and gives the first error.
func beside(ctx context.Context, ops ...func(ctx context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var ended atomic.Bool
	var wg sync.WaitGroup
	for _, op := range ops {
		wg.Go(func() {
			for !ended.Load() && ctx.Err() == nil {
				if err := op(ctx); err != nil {
					cancel(err)
				}
			}
		})
	}
	return func() error {
		ended.Store(true)
		wg.Wait()
		defer cancel(nil)
		return context.Cause(ctx)
	}
}

// percentile is the smallest value that at least the share p of the sorted values do not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// median is the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	if len(v)%2 == 1 {
		return v[mid]
	}
	return (v[mid-1] + v[mid]) / 2
}

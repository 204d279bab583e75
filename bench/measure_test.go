package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, tc := range []struct {
		name   string
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{"none", nil, 0.5, 0},
		{"one", hundred[:1], 0.99, 1},
		{"two, middle", hundred[:2], 0.5, 1},
		{"three, middle", hundred[:3], 0.5, 2},
		{"hundred, middle", hundred, 0.5, 50},
		{"hundred, p99", hundred, 0.99, 99},
		{"lowest", hundred, 0, 1},
		{"highest", hundred, 1, 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := percentile(tc.sorted, tc.p); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{4}, 4}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(tc.values); got != tc.want {
			t.Errorf("median of %v is %v, want %v", tc.values, got, tc.want)
		}
	}
}

func TestMeasureCountsCalls(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s, err := measure(t.Context(), 0, time.Minute, load{workers: 3, count: 50, op: func(context.Context, int) (int64, error) {
		calls.Add(1)
		return 10, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if calls.Load() != 50 || s.requests != 50 || s.bytes != 500 || s.cpu != -1 {
		t.Errorf("%d calls, sample %+v; want 50 of 10 bytes each and no time of the server", calls.Load(), s)
	}
}

func TestMeasureEndsAtTheFirstError(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	_, err := measure(t.Context(), 0, time.Minute, load{workers: 4, count: 1_000_000, op: func(ctx context.Context, i int) (int64, error) {
		if i == 10 {
			return 0, boom
		}
		return 0, nil
	}})
	if !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
}

// A paced load charges the calls that a slow answer held up with the time they waited.
func TestPaceCountsWhatASlowAnswerHeldUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parts, err := drive(t.Context(), load{workers: 1, count: 4, pace: 10 * time.Millisecond, op: func(_ context.Context, i int) (int64, error) {
			if i == 1 {
				time.Sleep(25 * time.Millisecond)
			}
			return 0, nil
		}}, new(atomic.Int64), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{0, 25 * time.Millisecond, 15 * time.Millisecond, 5 * time.Millisecond}
		for i, d := range parts[0].took {
			if d != want[i] {
				t.Errorf("call %d took %s, want %s", i, d, want[i])
			}
		}
	})
}

func TestBesideReportsTheFirstError(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	failed := make(chan struct{})
	stop := beside(t.Context(), func(context.Context) error {
		defer close(failed)
		return boom
	}, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	<-failed
	if err := stop(); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
	quiet := beside(t.Context(), func(context.Context) error { return nil })
	if err := quiet(); err != nil {
		t.Errorf("work without errors: %v", err)
	}
}

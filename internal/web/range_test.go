package web

import (
	"errors"
	"math"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header  string
		size    int64
		off, n  int64
		partial bool
		bad     bool
	}{
		{"", 10, 0, 10, false, false},
		{"bytes=0-4", 10, 0, 5, true, false},
		{"bytes=0-0", 10, 0, 1, true, false},
		{"bytes=9-9", 10, 9, 1, true, false},
		{"bytes=4-", 10, 4, 6, true, false},
		{"bytes=4-100", 10, 4, 6, true, false},
		{"bytes=4-99999999999999999999", 10, 4, 6, true, false},
		{"bytes=-3", 10, 7, 3, true, false},
		{"bytes=-30", 10, 0, 10, true, false},
		{"Bytes = 1-2", 10, 1, 2, true, false},
		{"bytes=0-1,4-5", 10, 0, 10, false, false},
		{"items=0-1", 10, 0, 10, false, false},
		{"junk", 10, 0, 10, false, false},
		{"bytes=10-", 10, 0, 0, false, true},
		{"bytes=99999999999999999999-", 10, 0, 0, false, true},
		{"bytes=500-0", 1000, 0, 0, false, true},
		{"bytes=-0", 10, 0, 0, false, true},
		{"bytes=0-", 0, 0, 0, false, true},
		{"bytes=-1", 0, 0, 0, false, true},
		{"bytes=", 10, 0, 0, false, true},
		{"bytes=-", 10, 0, 0, false, true},
		{"bytes=5", 10, 0, 0, false, true},
		{"bytes=a-b", 10, 0, 0, false, true},
		{"bytes=+1-2", 10, 0, 0, false, true},
		{"bytes=1--2", 10, 0, 0, false, true},
		{"bytes 0-4", 10, 0, 10, false, false},
		{"bytes", 10, 0, 10, false, false},
	} {
		off, n, partial, err := ParseRange(c.header, c.size)
		if off != c.off || n != c.n || partial != c.partial || c.bad != errors.Is(err, fault.RangeInvalid) {
			t.Errorf("%q of %d: %d+%d partial %v, %v; want %d+%d partial %v, bad %v",
				c.header, c.size, off, n, partial, err, c.off, c.n, c.partial, c.bad)
		}
	}
}

func TestParseContentRange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header string
		off, n int64
		bad    bool
	}{
		{"0-4", 0, 5, false},
		{"5-5", 5, 1, false},
		{" 5-9 ", 5, 5, false},
		{"bytes 0-4/10", 0, 5, false},
		{"bytes 0-4/*", 0, 5, false},
		{"bytes=0-4", 0, 5, false},
		{"", 0, 0, true},
		{"bytes ", 0, 0, true},
		{"4-0", 0, 0, true},
		{"-4", 0, 0, true},
		{"4-", 0, 0, true},
		{"4", 0, 0, true},
		{"0-4-5", 0, 0, true},
		{"a-b", 0, 0, true},
		{"0x0-0x4", 0, 0, true},
	} {
		off, n, err := ParseContentRange(c.header)
		if off != c.off || n != c.n || c.bad != errors.Is(err, fault.RangeInvalid) {
			t.Errorf("%q: %d+%d, %v; want %d+%d, bad %v", c.header, off, n, err, c.off, c.n, c.bad)
		}
	}
}

func TestContentRange(t *testing.T) {
	t.Parallel()
	if got := ContentRange(2, 3, 10); got != "bytes 2-4/10" {
		t.Error(got)
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"", "bytes=0-4", "bytes=-3", "bytes=4-", "bytes=0-1,2-3", "bytes=99999999999999999999-"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		off, n, partial, err := ParseRange(header, size)
		switch {
		case err != nil && !errors.Is(err, fault.RangeInvalid):
			t.Fatalf("error %v", err)
		case err == nil && (off < 0 || n < 0 || off > size-n):
			t.Fatalf("%d+%d lies outside of %d", off, n, size)
		case err == nil && partial && n == 0, err == nil && !partial && (off != 0 || n != size):
			t.Fatalf("%d+%d of %d, partial %v", off, n, size, partial)
		}
	})
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"0-4", "bytes 0-4/10", "4-0", "0-99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		off, n, err := ParseContentRange(header)
		if err != nil && !errors.Is(err, fault.RangeInvalid) || err == nil && (off < 0 || n < 1 || off > math.MaxInt64-n) {
			t.Fatalf("%q: %d+%d, %v", header, off, n, err)
		}
	})
}

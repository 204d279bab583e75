// Package blobtest is the suite that every blob.Bucket passes.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/fault"
)

// Run tries a driver. fresh makes an empty store and returns what opens it: each call of open gives a Bucket as a
// further process on the same store would have it; a store that lives in one process gives the same one again.
func Run(t *testing.T, fresh func(t *testing.T) (open func() blob.Bucket)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open func() blob.Bucket)
	}{
		{"write, seal, read", testRead},
		{"ranges", testRanges},
		{"created once", testCreate},
		{"concurrent creates", testConcurrentCreates},
		{"resume", testResume},
		{"resume from the first byte", testResumeAnew},
		{"resume refused", testResumeRefused},
		{"one writer at a time", testOneWriter},
		{"sealed is final", testSealed},
		{"abort", testAbort},
		{"delete", testDelete},
		{"deleted while written", testDeletedWhileWritten},
		{"deleted while read", testDeletedWhileRead},
		{"stat", testStat},
		{"list", testList},
		{"list stops", testListStops},
		{"hostile keys", testHostileKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, fresh(t))
		})
	}
}

// Bytes are n reproducible bytes that differ from those of another seed.
func Bytes(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func want(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error %v, want %v", err, kind)
	}
	if f := fault.Of(err); f.Message == kind.Error() {
		t.Errorf("error %q does not name the thing", f.Message)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin creates an object and writes data to it.
func begin(t *testing.T, b blob.Bucket, key string, data []byte) blob.Part {
	t.Helper()
	p, err := b.Create(t.Context(), key)
	must(t, err)
	write(t, p, data)
	return p
}

func write(t *testing.T, p blob.Part, data []byte) {
	t.Helper()
	if n, err := p.Write(data); n != len(data) || err != nil {
		t.Fatalf("Write of %d bytes = %d, %v", len(data), n, err)
	}
}

// put makes a sealed object.
func put(t *testing.T, b blob.Bucket, key string, data []byte) {
	t.Helper()
	must(t, begin(t, b, key, data).Seal(t.Context()))
}

// get reads a range by Read, and again by WriteTo where the reader has it.
func get(t *testing.T, b blob.Bucket, key string, off, n int64) []byte {
	t.Helper()
	r, err := b.Open(t.Context(), key, off, n)
	must(t, err)
	got, err := io.ReadAll(struct{ io.Reader }{r})
	must(t, err)
	must(t, r.Close())

	r, err = b.Open(t.Context(), key, off, n)
	must(t, err)
	defer r.Close()
	if wt, ok := r.(io.WriterTo); ok {
		var buf bytes.Buffer
		m, err := wt.WriteTo(&buf)
		must(t, err)
		if m != int64(buf.Len()) || !bytes.Equal(buf.Bytes(), got) {
			t.Errorf("WriteTo said %d and gave %d bytes, Read gave %d", m, buf.Len(), len(got))
		}
	}
	return got
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes that differ from the %d wanted", len(got), len(want))
	}
}

func testRead(t *testing.T, open func() blob.Bucket) {
	b := open()
	for i, size := range []int{0, 1, 4096, 9<<20 + 1} {
		key, data := fmt.Sprintf("k%d", i), Bytes(byte(i), size)
		p := begin(t, b, key, data[:size/2])
		write(t, p, nil)
		write(t, p, data[size/2:])
		must(t, p.Seal(t.Context()))
		must(t, p.Close())
		same(t, get(t, b, key, 0, -1), data)
		same(t, get(t, open(), key, 0, -1), data)
	}
	_, err := b.Open(t.Context(), "none", 0, -1)
	want(t, err, fault.NotFound)
}

func testRanges(t *testing.T, open func() blob.Bucket) {
	b, data := open(), Bytes(1, 1000)
	put(t, b, "key", data)
	for _, c := range []struct{ off, n, end int64 }{
		{0, 0, 0}, {0, 1, 1}, {0, 1000, 1000}, {0, -1, 1000}, {1, -1, 1000}, {10, 20, 30}, {999, 1, 1000},
		{1000, 0, 1000}, {1000, -1, 1000}, {500, 0, 500},
	} {
		same(t, get(t, b, "key", c.off, c.n), data[c.off:c.end])
	}
	r, err := b.Open(t.Context(), "key", 990, 20)
	must(t, err)
	defer r.Close()
	got, err := io.ReadAll(struct{ io.Reader }{r})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("reading behind the end: error %v, want %v", err, io.ErrUnexpectedEOF)
	}
	same(t, got, data[990:])
}

func testCreate(t *testing.T, open func() blob.Bucket) {
	b := open()
	p := begin(t, b, "key", []byte("first"))
	_, err := b.Create(t.Context(), "key")
	want(t, err, fault.Exists)
	must(t, p.Seal(t.Context()))
	_, err = open().Create(t.Context(), "key")
	want(t, err, fault.Exists)
	same(t, get(t, b, "key", 0, -1), []byte("first"))
}

func testConcurrentCreates(t *testing.T, open func() blob.Bucket) {
	b := open()
	const keys, rivals = 40, 4
	var wg sync.WaitGroup
	var made, lost atomic.Int32
	for i := range keys * rivals {
		wg.Go(func() {
			key := fmt.Sprintf("%c%d", 'a'+i%keys%3, i%keys)
			p, err := b.Create(t.Context(), key)
			if errors.Is(err, fault.Exists) {
				lost.Add(1)
				return
			}
			if err == nil {
				_, err = p.Write([]byte(key))
			}
			if err == nil {
				err = p.Seal(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
			made.Add(1)
		})
	}
	wg.Wait()
	if made.Load() != keys || lost.Load() != keys*(rivals-1) {
		t.Errorf("%d made and %d refused, want %d and %d", made.Load(), lost.Load(), keys, keys*(rivals-1))
	}
	for info, err := range b.List(t.Context(), "") {
		must(t, err)
		same(t, get(t, b, info.Key, 0, -1), []byte(info.Key))
	}
}

func testResume(t *testing.T, open func() blob.Bucket) {
	data := Bytes(2, 3000)
	p := begin(t, open(), "key", data[:1000])
	state, err := p.Checkpoint(t.Context())
	must(t, err)
	if len(state) == 0 {
		t.Error("Checkpoint gave an empty state")
	}
	write(t, p, []byte("lost"))
	must(t, p.Close())

	p, err = open().Resume(t.Context(), "key", state)
	must(t, err)
	write(t, p, data[1000:2000])
	state, err = p.Checkpoint(t.Context())
	must(t, err)
	must(t, p.Close())
	must(t, p.Close())

	for range 2 { // the same state serves twice
		p, err = open().Resume(t.Context(), "key", state)
		must(t, err)
		write(t, p, data[2000:2500])
		must(t, p.Close())
	}
	p, err = open().Resume(t.Context(), "key", state)
	must(t, err)
	write(t, p, data[2000:])
	must(t, p.Seal(t.Context()))
	same(t, get(t, open(), "key", 0, -1), data)
}

func testResumeAnew(t *testing.T, open func() blob.Bucket) {
	b := open()
	must(t, begin(t, b, "key", Bytes(3, 5000)).Close())
	p, err := b.Resume(t.Context(), "key", nil)
	must(t, err)
	state, err := p.Checkpoint(t.Context())
	must(t, err)
	must(t, p.Close())
	p, err = b.Resume(t.Context(), "key", state)
	must(t, err)
	write(t, p, []byte("short"))
	must(t, p.Seal(t.Context()))
	same(t, get(t, b, "key", 0, -1), []byte("short"))
}

func testResumeRefused(t *testing.T, open func() blob.Bucket) {
	b := open()
	p := begin(t, b, "long", Bytes(4, 100))
	state, err := p.Checkpoint(t.Context())
	must(t, err)
	must(t, p.Close())
	_, err = b.Resume(t.Context(), "none", state)
	want(t, err, fault.NotFound)
	_, err = b.Resume(t.Context(), "none", nil)
	want(t, err, fault.NotFound)

	must(t, begin(t, b, "short", Bytes(4, 99)).Close())
	_, err = b.Resume(t.Context(), "short", state)
	want(t, err, fault.NotFound)

	_, err = b.Resume(t.Context(), "long", []byte("not a state of this bucket"))
	want(t, err, fault.Internal)
	p, err = b.Resume(t.Context(), "long", state) // still there
	must(t, err)
	must(t, p.Close())
}

func testOneWriter(t *testing.T, open func() blob.Bucket) {
	p := begin(t, open(), "key", []byte("kept"))
	state, err := p.Checkpoint(t.Context())
	must(t, err)
	_, err = open().Resume(t.Context(), "key", state)
	want(t, err, fault.Conflict)
	write(t, p, []byte(" and more"))
	must(t, p.Close())

	second, err := open().Resume(t.Context(), "key", state)
	must(t, err)
	if n, err := p.Write([]byte("late")); err == nil {
		t.Errorf("a closed part took %d bytes", n)
	}
	_, err = open().Resume(t.Context(), "key", state)
	want(t, err, fault.Conflict)
	must(t, second.Seal(t.Context()))
	same(t, get(t, open(), "key", 0, -1), []byte("kept"))
}

func testSealed(t *testing.T, open func() blob.Bucket) {
	b := open()
	p := begin(t, b, "key", []byte("final"))
	state, err := p.Checkpoint(t.Context())
	must(t, err)
	must(t, p.Seal(t.Context()))
	for _, state := range [][]byte{state, nil} {
		_, err = open().Resume(t.Context(), "key", state)
		want(t, err, fault.Conflict)
	}
	if _, err := p.Write([]byte("late")); err == nil {
		t.Error("a sealed part took bytes")
	}
	must(t, p.Close())
	same(t, get(t, b, "key", 0, -1), []byte("final"))
}

func testAbort(t *testing.T, open func() blob.Bucket) {
	b := open()
	p := begin(t, b, "key", []byte("wrong"))
	state, err := p.Checkpoint(t.Context())
	must(t, err)
	must(t, p.Abort(t.Context()))
	must(t, p.Close())
	_, err = b.Stat(t.Context(), "key")
	want(t, err, fault.NotFound)
	_, err = b.Resume(t.Context(), "key", state)
	want(t, err, fault.NotFound)
	put(t, b, "key", []byte("right"))
	same(t, get(t, b, "key", 0, -1), []byte("right"))
}

func testDelete(t *testing.T, open func() blob.Bucket) {
	b := open()
	put(t, b, "sealed", []byte("x"))
	must(t, begin(t, b, "begun", []byte("x")).Close())
	for _, key := range []string{"sealed", "begun", "sealed", "begun", "none", "other-folder"} {
		must(t, b.Delete(t.Context(), key))
		_, err := b.Stat(t.Context(), key)
		want(t, err, fault.NotFound)
		_, err = open().Open(t.Context(), key, 0, -1)
		want(t, err, fault.NotFound)
	}
	for info := range b.List(t.Context(), "") {
		t.Errorf("%s is still listed", info.Key)
	}
}

func testDeletedWhileWritten(t *testing.T, open func() blob.Bucket) {
	b := open()
	for _, key := range []string{"seal", "checkpoint"} {
		p := begin(t, b, key, []byte("x"))
		must(t, b.Delete(t.Context(), key))
		var err error
		if key == "seal" {
			err = p.Seal(t.Context())
		} else {
			_, err = p.Checkpoint(t.Context())
		}
		want(t, err, fault.NotFound)
		must(t, p.Abort(t.Context()))
	}
}

func testDeletedWhileRead(t *testing.T, open func() blob.Bucket) {
	b, data := open(), Bytes(5, 1<<20)
	put(t, b, "key", data)
	r, err := b.Open(t.Context(), "key", 0, -1)
	must(t, err)
	defer r.Close()
	head := make([]byte, 100)
	_, err = io.ReadFull(r, head)
	must(t, err)
	must(t, b.Delete(t.Context(), "key"))
	put(t, b, "key", Bytes(6, 1<<20))
	rest, err := io.ReadAll(r)
	must(t, err)
	same(t, append(head, rest...), data)
}

func testStat(t *testing.T, open func() blob.Bucket) {
	b, begun := open(), time.Now()
	check := func(least int64) {
		t.Helper()
		info, err := open().Stat(t.Context(), "key")
		must(t, err)
		// File systems keep time more coarsely than the clock; a minute is plenty for any.
		if info.Key != "key" || info.Size > 10 || info.Size < least || info.Modified.Sub(begun).Abs() > time.Minute {
			t.Errorf("Stat = %+v", info)
		}
	}
	p := begin(t, b, "key", Bytes(7, 10))
	_, err := p.Checkpoint(t.Context())
	must(t, err)
	check(0)
	must(t, p.Seal(t.Context()))
	check(10)
	_, err = b.Stat(t.Context(), "none")
	want(t, err, fault.NotFound)
}

func testList(t *testing.T, open func() blob.Bucket) {
	b := open()
	keys := []string{"a", "a-", "a--", "a-b", "a0", "aa", "aa0", "aaa", "ab", "ab-c", "b", "b1", "zz", "0", "00x", "-"}
	for i, key := range keys {
		p := begin(t, b, key, Bytes(8, i))
		if i%2 == 0 {
			must(t, p.Seal(t.Context()))
		} else {
			_, err := p.Checkpoint(t.Context())
			must(t, err)
			must(t, p.Close())
		}
	}
	least, most := map[string]int64{}, map[string]int64{}
	for i, key := range keys {
		if most[key] = int64(i); i%2 == 0 {
			least[key] = int64(i)
		}
	}
	slices.Sort(keys)
	for _, after := range append([]string{"", "~", "a-a", "aaz", "A", "../../etc"}, keys...) {
		at, found := slices.BinarySearch(keys, after)
		if found {
			at++
		}
		var got []string
		for info, err := range open().List(t.Context(), after) {
			must(t, err)
			got = append(got, info.Key)
			if info.Size < least[info.Key] || info.Size > most[info.Key] || info.Modified.IsZero() {
				t.Errorf("listed %+v, want %d to %d bytes", info, least[info.Key], most[info.Key])
			}
		}
		if !slices.Equal(got, keys[at:]) {
			t.Errorf("after %q: %v, want %v", after, got, keys[at:])
		}
	}
}

func testListStops(t *testing.T, open func() blob.Bucket) {
	b := open()
	for i := range 10 {
		put(t, b, fmt.Sprintf("k%d", i), nil)
	}
	n := 0
	for _, err := range b.List(t.Context(), "") {
		must(t, err)
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d objects before the break, want 3", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, last = range b.List(ctx, "") {
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("a cancelled listing ended with %v", last)
	}
}

func testHostileKeys(t *testing.T, open func() blob.Bucket) {
	b, ctx := open(), t.Context()
	put(t, b, strings.Repeat("k", blob.MaxKey), []byte("longest"))
	for _, key := range []string{
		"", ".", "..", "../x", "a/b", "/etc/passwd", `a\b`, "a.b", "A", "a b", "a\x00b", "ä", "a\n", "%2e%2e",
		strings.Repeat("k", blob.MaxKey+1),
	} {
		_, err := b.Create(ctx, key)
		want(t, err, fault.Invalid)
		_, err = b.Resume(ctx, key, nil)
		want(t, err, fault.Invalid)
		_, err = b.Open(ctx, key, 0, -1)
		want(t, err, fault.Invalid)
		_, err = b.Stat(ctx, key)
		want(t, err, fault.Invalid)
		want(t, b.Delete(ctx, key), fault.Invalid)
	}
}

package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/blobtest"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/blob/mem"
	"github.com/acre-registry/acre/internal/fault"
)

// Whatever the chunks, the readers, the pauses and the crashes: the digest is that of the bytes.
func TestRandomChunks(t *testing.T) {
	t.Parallel()
	bucket, err := disk.Open(t.TempDir())
	must(t, err)
	pool := blobtest.Bytes(3, 4<<20)
	rapid.Check(t, func(rt *rapid.T) {
		ctx, s := context.Background(), blob.NewStore(bucket)
		w, err := s.Create(ctx)
		if err != nil {
			rt.Fatal(err)
		}
		var data []byte
		var saved blob.State
		step := func(err error) {
			if err != nil {
				rt.Fatal(err)
			}
		}
		for range rapid.IntRange(0, 6).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"take", "take", "checkpoint", "resume"}).Draw(rt, "step") {
			case "take":
				n := rapid.OneOf(rapid.IntRange(0, 9000), rapid.IntRange(0, 1500<<10)).Draw(rt, "bytes")
				n = min(n, len(pool)-len(data))
				chunk := pool[len(data) : len(data)+n]
				got, err := w.ReadFrom(anyReader(rt, chunk))
				step(err)
				if data = pool[:len(data)+n]; got != int64(n) || w.Size() != int64(len(data)) {
					rt.Fatalf("took %d of %d bytes, Size %d of %d", got, n, w.Size(), len(data))
				}
			case "checkpoint":
				saved, err = w.Checkpoint(ctx)
				step(err)
			case "resume":
				step(w.Close())
				b, err := saved.MarshalBinary()
				step(err)
				step(saved.UnmarshalBinary(b))
				w, err = s.Resume(ctx, w.Key(), saved)
				step(err)
				data = pool[:saved.Size]
			}
		}
		step(w.Commit(ctx, digest.FromBytes(data)))
		if size, err := s.Verify(ctx, w.Key(), digest.FromBytes(data)); err != nil || size != int64(len(data)) {
			rt.Fatalf("stored %d of %d bytes: %v", size, len(data), err)
		}
		step(s.Delete(ctx, w.Key()))
	})
}

// anyReader gives data in one of the ways readers do.
func anyReader(rt *rapid.T, data []byte) io.Reader {
	r := bytes.NewReader(data)
	switch rapid.SampledFrom([]string{"length", "limit", "bare", "half", "end with data", "sparse"}).Draw(rt, "reader") {
	case "limit":
		return io.LimitReader(struct{ io.Reader }{r}, int64(len(data)+rapid.IntRange(0, 1<<20).Draw(rt, "slack")))
	case "bare":
		return struct{ io.Reader }{r}
	case "half":
		return iotest.HalfReader(r)
	case "end with data":
		return iotest.DataErrReader(r)
	case "sparse":
		return &sparse{r: r}
	}
	return r
}

// sparse gives nothing at every other Read, as an io.Reader may.
type sparse struct {
	r   io.Reader
	odd bool
}

func (s *sparse) Read(p []byte) (int, error) {
	if s.odd = !s.odd; s.odd {
		return 0, nil
	}
	return s.r.Read(p)
}

var errCut = errors.New("connection cut")

// A client that is cut off loses nothing of what arrived.
func TestReadError(t *testing.T) {
	t.Parallel()
	data := blobtest.Bytes(4, 3<<20)
	for _, cut := range []int{0, 1, 4096, 32 << 10, 40000, 256 << 10, 300 << 10, 2<<20 + 5} {
		s := newStore()
		w, err := s.Create(t.Context())
		must(t, err)
		n, err := w.ReadFrom(io.MultiReader(bytes.NewReader(data[:cut]), iotest.ErrReader(errCut)))
		var re blob.ReadError
		if !errors.As(err, &re) || re.Err != errCut || n != int64(cut) || w.Size() != n {
			t.Fatalf("cut at %d: ReadFrom = %d, %v; Size %d", cut, n, err, w.Size())
		}
		st, err := w.Checkpoint(t.Context())
		must(t, err)
		must(t, w.Close())
		w, err = s.Resume(t.Context(), w.Key(), st)
		must(t, err)
		take(t, w, data[cut:])
		must(t, w.Commit(t.Context(), digest.FromBytes(data)))
	}
}

func TestReaderWithoutProgress(t *testing.T) {
	t.Parallel()
	w := begin(t, newStore(), nil)
	_, err := w.ReadFrom(reads(func([]byte) (int, error) { return 0, nil }))
	var re blob.ReadError
	if !errors.As(err, &re) || re.Err != io.ErrNoProgress {
		t.Errorf("ReadFrom = %v, want %v", err, io.ErrNoProgress)
	}
	must(t, w.Close())
}

// A panic of the reader leaves no goroutine behind (TestMain looks).
func TestReaderPanics(t *testing.T) {
	t.Parallel()
	w := begin(t, newStore(), nil)
	defer func() {
		if recover() == nil {
			t.Error("the reader's panic was swallowed")
		}
		must(t, w.Abort(t.Context()))
	}()
	_, _ = w.ReadFrom(io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), reads(func([]byte) (int, error) { panic("reader") })))
}

type reads func(p []byte) (int, error)

func (r reads) Read(p []byte) (int, error) { return r(p) }

// Where the disk is full nothing of the last checkpoint is lost, and the upload goes on when there is space again.
func TestFull(t *testing.T) {
	t.Parallel()
	data := blobtest.Bytes(5, 4<<20)
	for _, c := range []struct{ saved, limit int }{
		{0, 1}, {0, 100}, {100, 101}, {100, 100 << 10}, {1 << 20, 1<<20 + 7}, {1 << 20, 3 << 20}, {256 << 10, 512 << 10},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			bucket := mem.New(int64(c.limit))
			s := blob.NewStore(bucket)
			w := begin(t, s, data[:c.saved])
			st, err := w.Checkpoint(t.Context())
			must(t, err)
			_, err = w.ReadFrom(bytes.NewReader(data[c.saved:]))
			want(t, err, fault.Full)
			var re blob.ReadError
			if errors.As(err, &re) {
				t.Errorf("a full disk is reported as %v", re)
			}
			_, err = w.ReadFrom(bytes.NewReader(nil))
			want(t, err, fault.Full)
			_, err = w.Checkpoint(t.Context())
			want(t, err, fault.Full)
			want(t, w.Commit(t.Context(), digest.FromBytes(data)), fault.Full)
			must(t, w.Close())

			bucket.SetLimit(int64(len(data)))
			w, err = s.Resume(t.Context(), w.Key(), st)
			must(t, err)
			take(t, w, data[c.saved:])
			must(t, w.Commit(t.Context(), digest.FromBytes(data)))
		})
	}
}

func TestFullThenAbort(t *testing.T) {
	t.Parallel()
	bucket := mem.New(1 << 20)
	w, err := blob.NewStore(bucket).Create(t.Context())
	must(t, err)
	_, err = w.ReadFrom(bytes.NewReader(make([]byte, 2<<20)))
	want(t, err, fault.Full)
	must(t, w.Abort(t.Context()))
	if free, err := bucket.Free(); free != 1<<20 || err != nil {
		t.Errorf("%d bytes free after Abort, %v", free, err)
	}
}

// counted counts the checkpoints that reach a bucket.
type counted struct {
	blob.Bucket
	checkpoints int
}

type countedPart struct {
	blob.Part
	n *int
}

func (c *counted) Create(ctx context.Context, key string) (blob.Part, error) {
	p, err := c.Bucket.Create(ctx, key)
	return countedPart{p, &c.checkpoints}, err
}

func (p countedPart) Checkpoint(ctx context.Context) ([]byte, error) {
	*p.n++
	return p.Part.Checkpoint(ctx)
}

func TestCheckpointOfNothingNew(t *testing.T) {
	t.Parallel()
	c := &counted{Bucket: mem.New(1 << 20)}
	w := begin(t, blob.NewStore(c), nil)
	for i, want := range []int{1, 1, 2, 2} { // the first, of no bytes, makes the name durable
		if i == 2 {
			take(t, w, []byte("x"))
		}
		st, err := w.Checkpoint(t.Context())
		must(t, err)
		if c.checkpoints != want || st.Size != w.Size() {
			t.Errorf("step %d: %d checkpoints of the bucket, want %d; size %d of %d", i, c.checkpoints, want, st.Size, w.Size())
		}
	}
	must(t, w.Close())
}

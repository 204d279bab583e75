package mem_test

import (
	"errors"
	"testing"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/blobtest"
	"github.com/acre-registry/acre/internal/blob/mem"
	"github.com/acre-registry/acre/internal/fault"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(*testing.T) func() blob.Bucket {
		b := mem.New(1 << 30)
		return func() blob.Bucket { return b }
	})
}

// Every way of losing bytes gives their room back.
func TestLimit(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), mem.New(10)
	free := func(want int64) {
		t.Helper()
		if got, err := b.Free(); got != want || err != nil {
			t.Fatalf("Free = %d, %v; want %d", got, err, want)
		}
	}
	p, err := b.Create(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := p.Write([]byte("123456")); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	state, err := p.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := p.Write([]byte("123456")); n != 4 || !errors.Is(err, fault.Full) {
		t.Fatalf("Write beyond the limit = %d, %v", n, err)
	}
	free(0)
	if _, err := b.Create(ctx, "b"); !errors.Is(err, fault.Full) {
		t.Fatalf("Create in a full bucket: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err = b.Resume(ctx, "a", state); err != nil {
		t.Fatal(err)
	}
	free(4)
	b.SetLimit(5)
	free(0)
	b.SetLimit(10)
	if err := p.Abort(ctx); err != nil {
		t.Fatal(err)
	}
	free(10)
	if p, err = b.Create(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Write([]byte("12")); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	free(10)
}

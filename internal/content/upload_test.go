package content_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
)

// A body that told its length and broke off leaves no trace, so that it can be sent again; one of unknown length is kept.
func TestBrokenBody(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		ctx := w.t.Context()
		whole := bytes.Repeat([]byte("0123456789"), 10_000)
		u, err := w.reg.StartUpload(ctx, "app")
		if err != nil {
			w.t.Fatal(err)
		}
		broken := func(n int) io.Reader {
			return io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(errors.New("the connection broke")))
		}
		resume := func(want int64) {
			w.t.Helper()
			if err := u.Close(ctx); err != nil {
				w.t.Fatal(err)
			}
			if u, err = w.reg.ResumeUpload(ctx, "app", u.ID()); err != nil {
				w.t.Fatal(err)
			}
			if u.Size() != want {
				w.t.Fatalf("the upload stands at %d, want %d", u.Size(), want)
			}
		}
		for _, from := range []int64{0, 30_000} {
			if _, err := u.ReadFrom(&io.LimitedReader{R: broken(20_000), N: int64(len(whole))}); !errors.Is(err, fault.UploadInvalid) {
				w.t.Errorf("a body that broke off: %v", err)
			}
			resume(from)
			if _, err := u.ReadFrom(&io.LimitedReader{R: bytes.NewReader(whole[:20_000]), N: int64(len(whole))}); !errors.Is(err, fault.UploadInvalid) {
				w.t.Errorf("a body that ended early: %v", err)
			}
			resume(from)
			if from == 0 {
				if _, err := u.ReadFrom(broken(30_000)); !errors.Is(err, fault.UploadInvalid) {
					w.t.Errorf("a stream that broke off: %v", err)
				}
				resume(30_000)
			}
		}
		if _, err := u.ReadFrom(&io.LimitedReader{R: bytes.NewReader(whole[30_000:]), N: int64(len(whole) - 30_000)}); err != nil {
			w.t.Fatal(err)
		}
		if _, err := u.Commit(ctx, digest.FromBytes(whole)); err != nil {
			w.t.Fatal(err)
		}
		w.clean()
	})
}

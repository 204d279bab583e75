package content_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
)

// waitingBody gives its bytes and then waits, as a client does that has lost its connection, until it is interrupted.
type waitingBody struct {
	io.Reader
	once sync.Once
	cut  chan struct{}
}

func (b *waitingBody) Read(p []byte) (int, error) {
	if n, err := b.Reader.Read(p); err != io.EOF {
		return n, err
	}
	select {
	case <-b.cut:
	case <-time.After(300 * time.Millisecond): // for the last, whom nobody cuts off
	}
	return 0, io.ErrUnexpectedEOF
}

func (b *waitingBody) Interrupt() { b.once.Do(func() { close(b.cut) }) }

// Clients that come back again and again, and some of which leave before they are let in, leave an upload that the last
// of them can finish: nobody holds it, and on a shared store, where time stands still here, no lease is left. It is small
// when they begin, and large in the end.
func TestManyTakeAnUploadUp(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		u, err := w.reg.StartUpload(w.t.Context(), "app")
		if err != nil {
			w.t.Fatal(err)
		}
		if err := u.Close(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				ctx, leave := context.WithTimeout(w.t.Context(), time.Duration(i%7)*time.Millisecond+time.Microsecond)
				if i%3 == 0 {
					ctx = w.t.Context()
				}
				defer leave()
				mine, err := w.reg.ResumeUpload(ctx, "app", u.ID())
				if err != nil {
					return // it left, or another was quicker
				}
				_, _ = mine.ReadFrom(&waitingBody{Reader: strings.NewReader(strings.Repeat("part of it ", 1+i%4*100)), cut: make(chan struct{})})
				if err := mine.Close(w.t.Context()); err != nil {
					w.t.Error(err)
				}
			})
		}
		all.Wait()
		mine, err := w.reg.ResumeUpload(w.t.Context(), "app", u.ID())
		if err != nil {
			w.t.Fatalf("after all have gone: %v", err)
		}
		if n, err := mine.ReadFrom(bytes.NewReader([]byte("the rest"))); n != 8 || err != nil {
			w.t.Errorf("%d bytes were taken: %v", n, err)
		}
		if err := mine.Abort(w.t.Context()); err != nil {
			w.t.Error(err)
		}
		if _, err := w.reg.ResumeUpload(w.t.Context(), "app", u.ID()); !errors.Is(err, fault.UploadUnknown) {
			w.t.Errorf("after it was cancelled: %v", err)
		}
	})
}

package content_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/mem"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
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

// limit is up to which size a blob is kept in its row.
const limit = 8 << 10

// chunk is a body of n bytes that breaks off after the first came of them, and may have said n beforehand.
type chunk struct {
	n, came int
	told    bool
}

var errBroken = errors.New("the connection broke")

func (c chunk) body(data []byte) io.Reader {
	r := io.Reader(bytes.NewReader(data[:c.came]))
	if c.came < c.n { // the error comes with the last byte
		r = iotest.DataErrReader(io.MultiReader(r, iotest.ErrReader(errBroken)))
	}
	if c.told {
		return &io.LimitedReader{R: r, N: int64(c.n)}
	}
	return r
}

// ways are how chunks of some sizes can come: each function makes the bodies for the next n bytes.
var ways = map[string]func(i, n int) []chunk{
	"told":       func(_, n int) []chunk { return []chunk{{n, n, true}} },
	"not told":   func(_, n int) []chunk { return []chunk{{n, n, false}} },
	"in turn":    func(i, n int) []chunk { return []chunk{{n, n, i%2 == 0}} },
	"told twice": func(_, n int) []chunk { return []chunk{{n + limit, n, true}, {n + 1, n, true}, {n, n, true}} },
	"broken off": func(i, n int) []chunk { return []chunk{{n + 1, n, i%2 == 1}, {n, n, i%2 == 1}} },
}

// An upload stands where it should after each chunk, whatever crosses the size up to which it is kept in its row; the
// blob has its bytes; and there is an object exactly where it is larger. That is 180 uploads, which take seconds.
func TestUploadCrossesTheLimit(t *testing.T) {
	sizes := [][]int{
		{}, {0}, {1}, {limit - 1}, {limit}, {limit + 1}, {10 * limit}, {0, limit, 0}, {0, limit, 0, 1}, {1, limit - 1}, {1, limit},
		{limit - 1, 1, 1}, {limit - 1, 2}, {limit, 1, limit}, {limit + 1, 0, 1}, {limit / 2, limit / 2, limit / 2}, {3, 20 * limit, 5}, {100_000, 1},
	}
	eachWorld(t, content.Options{}, func(w *world) {
		for name, way := range ways {
			for _, paused := range []bool{false, true} {
				for i, chunks := range sizes {
					up := &sender{world: w, what: fmt.Sprintf("%s, paused %t, %d", name, paused, chunks), paused: paused}
					up.start(fmt.Appendf(nil, "%s %t %d ", name, paused, i))
					for j, n := range chunks {
						for _, c := range way(j, n) {
							up.send(c)
						}
					}
					up.commit()
				}
			}
		}
		w.clean()
	})
}

// sender uploads a blob in chunks and knows where the upload should stand.
type sender struct {
	*world
	what   string
	paused bool // after each chunk, and then resumed
	u      oci.Upload
	data   []byte // all that there is to send
	at     int    // how much of it came
	saved  int    // how much of that the last pause made sure of
	before int    // objects there were before
}

// start begins an upload; head makes its bytes others than those of the rest.
func (s *sender) start(head []byte) {
	s.t.Helper()
	s.data = make([]byte, 64*limit)
	for i := range s.data {
		s.data[i] = byte(i*7 + i>>8)
	}
	copy(s.data, head)
	u, err := s.reg.StartUpload(s.t.Context(), "app")
	if err != nil {
		s.t.Fatalf("%s: %v", s.what, err)
	}
	s.u, s.before = u, len(s.objects())
}

func (s *sender) send(c chunk) {
	s.t.Helper()
	n, err := s.u.ReadFrom(c.body(s.data[s.at : s.at+c.n]))
	want, broken := c.came, c.came < c.n
	if broken && c.told {
		want, s.at = 0, s.saved // a body that told its length comes whole or not at all
	} else {
		s.at += c.came
	}
	if broken != errors.Is(err, fault.UploadInvalid) || err != nil && !broken {
		s.t.Fatalf("%s: %+v: %v", s.what, c, err)
	}
	if n != int64(want) || s.u.Size() != int64(s.at) {
		s.t.Fatalf("%s: %+v: took %d bytes and stands at %d, want %d and %d", s.what, c, n, s.u.Size(), want, s.at)
	}
	if s.paused {
		s.pause()
	}
}

func (s *sender) pause() {
	s.t.Helper()
	if err := s.u.Close(s.t.Context()); err != nil {
		s.t.Fatalf("%s: pause: %v", s.what, err)
	}
	u, err := s.reg.ResumeUpload(s.t.Context(), "app", s.u.ID())
	if err != nil {
		s.t.Fatalf("%s: resume: %v", s.what, err)
	}
	if s.u, s.saved = u, s.at; u.Size() != int64(s.at) {
		s.t.Fatalf("%s: resumed at %d, want %d", s.what, u.Size(), s.at)
	}
}

func (s *sender) commit() {
	s.t.Helper()
	want := s.data[:s.at]
	d := digest.FromBytes(want)
	if desc, err := s.u.Commit(s.t.Context(), d); err != nil || desc.Digest != d || desc.Size != int64(s.at) {
		s.t.Fatalf("%s: committed as %+v: %v", s.what, desc, err)
	}
	if got := s.read("app", d); !bytes.Equal(got, want) {
		s.t.Fatalf("%s: the blob has %d bytes, or others, want %d", s.what, len(got), len(want))
	}
	objects := 0
	if s.at > limit {
		objects = 1
	}
	if got := len(s.objects()) - s.before; got != objects {
		s.t.Errorf("%s: %d objects for %d bytes", s.what, got, s.at)
	}
	if b := s.row("app", d); (b.Object != "") != (objects == 1) {
		s.t.Errorf("%s: the row of %d bytes names the object %q", s.what, s.at, b.Object)
	}
}

// read is a blob's bytes.
func (w *world) read(repo string, d oci.Digest) []byte {
	w.t.Helper()
	r, err := w.reg.OpenBlob(w.t.Context(), repo, d, 0, -1)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// row is a blob's.
func (w *world) row(repo string, d oci.Digest) (b meta.Blob) {
	w.t.Helper()
	err := w.db.Look(w.t.Context(), func(tx *meta.Tx) (err error) {
		b, _, err = tx.Blob(w.registry, repo, d)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// A blob that comes whole is kept as one that comes in chunks is; one that does not come leaves nothing.
func TestPushCrossesTheLimit(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		want := 0
		for _, n := range []int{0, 1, limit - 1, limit, limit + 1, 10 * limit} {
			for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
				for _, told := range []bool{false, true} {
					text := strings.Repeat(fmt.Sprint(algorithm, told), n)[:n]
					d := algorithm.FromString(text)
					if n > limit {
						want++
					}
					for _, c := range []chunk{{n + 1, n, told}, {n + limit, n, told}} {
						if _, err := w.reg.PushBlob(w.t.Context(), "app", d, c.body([]byte(text))); !errors.Is(err, fault.UploadInvalid) {
							w.t.Errorf("%d bytes of %d: %v", n, c.n, err)
						}
					}
					if _, err := w.reg.PushBlob(w.t.Context(), "app", digest.FromString("another"), chunk{n, n, told}.body([]byte(text))); !errors.Is(err, fault.DigestInvalid) {
						w.t.Errorf("%d bytes of another digest: %v", n, err)
					}
					for _, repo := range []string{"app", "other"} { // the second finds it there
						if _, err := w.reg.PushBlob(w.t.Context(), repo, d, chunk{n, n, told}.body([]byte(text))); err != nil {
							w.t.Fatal(err)
						}
						if got := w.read(repo, d); string(got) != text {
							w.t.Errorf("%d bytes came back as %d, or as others", n, len(got))
						}
						if b := w.row(repo, d); (b.Object == "") != (n <= limit) || n <= limit && !w.keeps(b, text) {
							w.t.Errorf("the row of %d bytes names the object %q and has %d bytes", n, b.Object, len(b.Body))
						}
					}
				}
			}
		}
		w.forward(2 * time.Minute) // of the larger ones each second object is litter
		w.collect(content.CollectOptions{})
		if got := len(w.objects()); got != want {
			w.t.Errorf("%d objects, want %d", got, want)
		}
		w.clean()
	})
}

// Who takes an upload over finds what the one before had in memory, and that one has ended.
func TestTakeOverOfASmallUpload(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		ctx := w.t.Context()
		first, err := w.reg.StartUpload(ctx, "app")
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := first.ReadFrom(strings.NewReader("small, ")); err != nil {
			w.t.Fatal(err)
		}
		second, err := w.reg.ResumeUpload(ctx, "app", first.ID())
		if err != nil || second.Size() != 7 {
			w.t.Fatalf("taken over at %d: %v", second.Size(), err)
		}
		if _, err := first.ReadFrom(strings.NewReader("late")); !errors.Is(err, fault.Conflict) {
			w.t.Errorf("the first goes on: %v", err)
		}
		if err := first.Close(ctx); err != nil {
			w.t.Errorf("the first is paused: %v", err)
		}
		if _, err := second.ReadFrom(strings.NewReader("and more")); err != nil {
			w.t.Fatal(err)
		}
		if _, err := second.Commit(ctx, digest.FromString("small, and more")); err != nil {
			w.t.Error(err)
		}
		if _, err := w.reg.ResumeUpload(ctx, "app", first.ID()); !errors.Is(err, fault.UploadUnknown) {
			w.t.Errorf("resumed after its end: %v", err)
		}
		w.clean()
	})
}

// A small upload is one node's as a large one is: another waits for it, and then finds its bytes.
func TestSmallUploadIsHeldAgainstOtherNodes(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		if !w.db.Shared() {
			return // there is no other
		}
		ctx := w.t.Context()
		registry := &auth.Registry{Registry: acr.Registry{Name: "acre"}, Key: "acre", ID: w.registry}
		other := asAdmin{content.New(content.Options{DB: w.db, Blobs: w.blobs}).In(registry)}
		u, err := w.reg.StartUpload(ctx, "app")
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := u.ReadFrom(strings.NewReader("small")); err != nil {
			w.t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		if _, err := other.ResumeUpload(short, "app", u.ID()); !errors.Is(err, context.DeadlineExceeded) {
			w.t.Errorf("another node took it up: %v", err)
		}
		if err := u.Close(ctx); err != nil {
			w.t.Fatal(err)
		}
		again, err := other.ResumeUpload(ctx, "app", u.ID())
		if err != nil || again.Size() != 5 {
			w.t.Fatalf("resumed at %d: %v", again.Size(), err)
		}
		if _, err := again.Commit(ctx, digest.FromString("small")); err != nil {
			w.t.Error(err)
		}
	})
}

// An upload of which no byte came, and which may have no row, is known until it expires, is cancelled or becomes a blob.
func TestUploadWithoutABodyEnds(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		ctx := w.t.Context()
		for _, c := range []struct {
			name string
			end  func(u oci.Upload) error
		}{
			{"expired", func(u oci.Upload) error {
				defer w.forward(content.DefaultUploadExpiry + time.Second)
				return u.Close(ctx)
			}},
			{"cancelled", func(u oci.Upload) error { return u.Abort(ctx) }},
			{"published", func(u oci.Upload) error { _, err := u.Commit(ctx, digest.FromString("")); return err }},
		} {
			u, err := w.reg.StartUpload(ctx, "app")
			if err != nil {
				w.t.Fatal(err)
			}
			for range 2 {
				if _, err := u.ReadFrom(strings.NewReader("")); err != nil {
					w.t.Fatal(err)
				}
				if err := u.Close(ctx); err != nil {
					w.t.Fatal(err)
				}
				if u, err = w.reg.ResumeUpload(ctx, "app", u.ID()); err != nil || u.Size() != 0 {
					w.t.Fatalf("before it is %s: %v", c.name, err)
				}
			}
			if err := c.end(u); err != nil {
				w.t.Fatal(err)
			}
			w.collect(content.CollectOptions{})
			if _, err := w.reg.ResumeUpload(ctx, "app", u.ID()); !errors.Is(err, fault.UploadUnknown) {
				w.t.Errorf("once it is %s: %v", c.name, err)
			}
		}
	})
}

// A limit on blobs below what an upload has already is refused with the next byte.
func TestUploadOverALoweredLimit(t *testing.T) {
	eachWorld(t, content.Options{MaxBlob: 10}, func(w *world) {
		for _, had := range []int{9, 10, 11, 5000, limit + 1} {
			row := meta.Upload{Registry: w.registry, Repository: "app", Size: int64(had), Body: make([]byte, had)}
			u, err := w.reg.StartUpload(w.t.Context(), "app")
			if err != nil {
				w.t.Fatal(err)
			}
			if _, err := u.ReadFrom(strings.NewReader("x")); err != nil {
				w.t.Fatal(err)
			}
			if err := u.Close(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			row.ID = u.ID()
			if err := w.db.Update(w.t.Context(), func(tx *meta.Tx) error { return tx.SaveUpload(row) }); err != nil {
				w.t.Fatal(err)
			}
			if u, err = w.reg.ResumeUpload(w.t.Context(), "app", row.ID); err != nil {
				w.t.Fatal(err)
			}
			if _, err := u.ReadFrom(strings.NewReader("more")); !errors.Is(err, fault.BlobTooLarge) {
				w.t.Errorf("after %d bytes: %v", had, err)
			}
			if err := u.Abort(w.t.Context()); err != nil {
				w.t.Error(err)
			}
		}
	})
}

// An upload that found no room stands where its row says. What it wrote is gone where no row names it, so that others
// have the room.
func TestUploadGivesRoomBack(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bucket := mem.New(plenty)
			_, r := near(t, metatest.Open(t, store(t), meta.Options{}), content.Options{Blobs: blob.NewStore(bucket)})
			for _, saved := range []int{0, 1000, limit, limit + 1} {
				for _, room := range []int64{0, 1, limit, 10 * limit} {
					for _, told := range []bool{false, true} {
						withoutRoom(t, asAdmin{r}, bucket, saved, room, told)
					}
				}
			}
		})
	}
}

// plenty is room for all of a test's objects.
const plenty = 1 << 30

// withoutRoom sends more than the room there is to an upload that stands at saved.
func withoutRoom(t *testing.T, reg asAdmin, bucket *mem.Bucket, saved int, room int64, told bool) {
	t.Helper()
	ctx := t.Context()
	u, err := reg.StartUpload(ctx, "app")
	if err != nil {
		t.Fatal(err)
	}
	what := fmt.Sprintf("%d bytes are saved, room for %d, told %t", saved, room, told)
	data := bytes.Repeat([]byte(what), 2000)
	s := &sender{world: &world{t: t, reg: reg}, what: what, u: u, data: data}
	s.send(chunk{saved, saved, true})
	s.pause()
	free, err := bucket.Free()
	if err != nil {
		t.Fatal(err)
	}
	bucket.SetLimit(plenty - free + room)
	defer bucket.SetLimit(plenty)
	rest := chunk{len(data) - saved, len(data) - saved, told}
	if _, err := s.u.ReadFrom(rest.body(data[saved:])); !errors.Is(err, fault.Full) {
		t.Errorf("%s: %v", what, err)
	}
	if err := s.u.Close(ctx); err != nil && !errors.Is(err, fault.Full) {
		t.Errorf("%s: pause: %v", what, err)
	}
	if _, err := reg.PushBlob(ctx, "app", digest.FromBytes(data), bytes.NewReader(data)); !errors.Is(err, fault.Full) {
		t.Errorf("%s: push: %v", what, err)
	}
	if free, err := bucket.Free(); err != nil || saved <= limit && free != room {
		t.Errorf("%s: %d bytes are free afterwards: %v", what, free, err)
	}
	bucket.SetLimit(plenty)
	if s.u, err = reg.ResumeUpload(ctx, "app", u.ID()); err != nil || s.u.Size() != int64(saved) {
		t.Fatalf("%s: resumed at %d: %v", what, s.u.Size(), err)
	}
	s.send(rest)
	if _, err := s.u.Commit(ctx, digest.FromBytes(data)); err != nil {
		t.Errorf("%s: with room again: %v", what, err)
	}
}

// A row with fewer bytes than it says is damage: nobody is given them for the blob.
func TestDamagedRow(t *testing.T) {
	eachWorld(t, content.Options{}, func(w *world) {
		d := digest.FromString("whole")
		if err := w.db.Update(w.t.Context(), func(tx *meta.Tx) error {
			if _, err := tx.PutBlob(w.registry, d, 5, "", []byte("ho")); err != nil {
				return err
			}
			_, _, err := tx.AddMember(w.registry, "app", d)
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
		if r, err := w.reg.OpenBlob(w.t.Context(), "app", d, 0, -1); r != nil || fault.KindOf(err) != fault.Internal {
			w.t.Errorf("opened: %v, %v", r, err)
		}
	})
}

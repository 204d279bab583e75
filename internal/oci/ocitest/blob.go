package ocitest

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

var blobCases = []testCase{
	{"blob/whole", blobWhole},
	{"blob/sha512", blobSHA512},
	{"blob/unknown", blobUnknown},
	{"blob/wrong digest", blobWrongDigest},
	{"blob/broken reader", blobBrokenReader},
	{"blob/ranges", blobRanges},
	{"blob/out of range", blobOutOfRange},
	{"blob/pushed by many", blobConcurrent},
}

// pattern is n bytes that differ at every offset a small mistake would reach.
func pattern(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i*7 + i>>8)
	}
	return out
}

// sizes are those at which a registry may begin to keep blobs in another way.
var sizes = []int{0, 1, 2, 8191, 8192, 8193, 64 << 10, 1<<20 + 17}

// small and large are sizes that are surely kept in one way and in the other.
const (
	small = 1000
	large = 100_000
)

func blobWhole(s *suite) {
	for _, n := range sizes {
		content := pattern(n)
		d := s.push("a/b", content)
		got, err := s.reg.StatBlob(s.ctx, "a/b", d.Digest)
		s.ok(err, "stat")
		s.describes(got, d.Digest, len(content), "stat")
		s.same(s.blob("a/b", d.Digest), content, "blob")
		s.push("a/b", content) // once more is no error
	}
	// A reader that does not tell its length, and comes in small pieces.
	for _, n := range sizes {
		content := append([]byte("unknown"), pattern(n)...)[:n]
		desc, err := s.reg.PushBlob(s.ctx, "a/b", sum(content), iotest.HalfReader(bytes.NewReader(content)))
		s.ok(err, "push of unknown length")
		s.describes(desc, sum(content), len(content), "push of unknown length")
		s.same(s.blob("a/b", sum(content)), content, "blob of unknown length")
	}
}

func blobSHA512(s *suite) {
	for _, n := range []int{small, large} {
		content := pattern(n)
		d := digest.NewDigestFromBytes(digest.SHA512, func() []byte { h := sha512.Sum512(content); return h[:] }())
		got, err := s.reg.PushBlob(s.ctx, "app", d, bytes.NewReader(content))
		s.ok(err, "push by sha512")
		s.describes(got, d, n, "push by sha512")
		got, err = s.reg.StatBlob(s.ctx, "app", d)
		s.ok(err, "stat by sha512")
		s.describes(got, d, n, "stat by sha512")
		s.same(s.blob("app", d), content, "blob by sha512")

		_, err = s.reg.PushBlob(s.ctx, "app", d, bytes.NewReader(content[1:]))
		s.fails(err, fault.DigestInvalid, "push of other bytes by sha512")
	}
}

func blobUnknown(s *suite) {
	s.push("app", []byte("something"))
	for _, repo := range []string{"app", "nowhere"} {
		_, err := s.reg.StatBlob(s.ctx, repo, absent)
		s.fails(err, fault.BlobUnknown, "stat in "+repo)
		r, err := s.reg.OpenBlob(s.ctx, repo, absent, 0, -1)
		s.fails(err, fault.BlobUnknown, "open in "+repo)
		closeIf(r)
	}
	// What one repository has is not thereby in another.
	_, err := s.reg.StatBlob(s.ctx, "other", sum([]byte("something")))
	s.fails(err, fault.BlobUnknown, "stat in another repository")
}

func blobWrongDigest(s *suite) {
	for _, n := range []int{small, large} {
		content := pattern(n)
		_, err := s.reg.PushBlob(s.ctx, "app", absent, bytes.NewReader(content))
		s.fails(err, fault.DigestInvalid, "push")
		_, err = s.reg.StatBlob(s.ctx, "app", absent)
		s.fails(err, fault.BlobUnknown, "stat of the digest claimed")
		_, err = s.reg.StatBlob(s.ctx, "app", sum(content))
		s.fails(err, fault.BlobUnknown, "stat of the digest sent")
	}
}

func blobBrokenReader(s *suite) {
	content := pattern(300_000)
	broken := errors.New("the source broke")
	for _, n := range []int{0, small, 8192, 8193, 200_000} {
		for _, want := range []int{n, len(content)} { // of which the first would be whole
			r := io.MultiReader(bytes.NewReader(content[:n]), iotest.ErrReader(broken))
			if _, err := s.reg.PushBlob(s.ctx, "app", sum(content[:want]), r); err == nil {
				s.Fatal("a push whose reader breaks must fail")
			}
			_, err := s.reg.StatBlob(s.ctx, "app", sum(content[:want]))
			s.fails(err, fault.BlobUnknown, "stat after a broken push")
		}
		s.push("app", content[:n])
	}
}

func blobRanges(s *suite) {
	for _, n := range []int{8192, large} {
		content := pattern(n)
		d := s.push("app", content).Digest
		size := int64(n)
		for _, c := range []struct{ off, n int64 }{
			{0, -1}, {0, size}, {0, 1}, {0, 0}, {1, 1}, {size - 1, 1}, {size - 1, -1}, {1024, 4096}, {4097, -1}, {size / 2, 0},
		} {
			what := fmt.Sprintf("open %d bytes from %d for %d", size, c.off, c.n)
			r, err := s.reg.OpenBlob(s.ctx, "app", d, c.off, c.n)
			s.ok(err, what)
			got, err := io.ReadAll(r)
			s.ok(err, what)
			s.ok(r.Close(), "close")
			want := content[c.off:]
			if c.n >= 0 {
				want = want[:c.n]
			}
			s.same(got, want, what)
		}
		// A reader may be left before its end.
		r, err := s.reg.OpenBlob(s.ctx, "app", d, 10, -1)
		s.ok(err, "open")
		head := make([]byte, 5)
		_, err = io.ReadFull(r, head)
		s.ok(err, "read the first bytes")
		s.same(head, content[10:15], "first bytes")
		s.ok(r.Close(), "close before the end")
	}
}

func blobOutOfRange(s *suite) {
	for _, n := range []int64{small, large} {
		d := s.push("app", pattern(int(n))).Digest
		for _, c := range []struct{ off, n int64 }{{n + 1, -1}, {n + 1, 1}, {0, n + 1}, {n - 1, 2}, {1 << 40, 10}, {-1, 5}, {-1, -1}} {
			r, err := s.reg.OpenBlob(s.ctx, "app", d, c.off, c.n)
			s.fails(err, fault.RangeInvalid, fmt.Sprintf("open %d bytes from %d for %d", n, c.off, c.n))
			closeIf(r)
		}
	}
	r, err := s.reg.OpenBlob(s.ctx, "app", absent, 5, 1)
	s.fails(err, fault.BlobUnknown, "range of an unknown blob")
	closeIf(r)
}

func closeIf(r io.Closer) {
	if r != nil {
		r.Close()
	}
}

func blobConcurrent(s *suite) {
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			for _, shared := range [][]byte{pattern(small), pattern(large)} {
				repo := fmt.Sprintf("app%d", i%4)
				own := append([]byte{byte(i)}, shared...)
				_, err := s.reg.PushBlob(s.ctx, repo, sum(shared), bytes.NewReader(shared))
				_, err2 := s.reg.PushBlob(s.ctx, repo, sum(own), bytes.NewReader(own))
				errs[i] = errors.Join(errs[i], err, err2)
			}
		})
	}
	wg.Wait()
	s.ok(errors.Join(errs...), "push at once")
	for i := range errs {
		for _, shared := range [][]byte{pattern(small), pattern(large)} {
			repo := fmt.Sprintf("app%d", i%4)
			s.same(s.blob(repo, sum(shared)), shared, "shared blob in "+repo)
			own := append([]byte{byte(i)}, shared...)
			s.same(s.blob(repo, sum(own)), own, "own blob in "+repo)
		}
	}
}

var mountCases = []testCase{
	{"mount/from", mountFrom},
	{"mount/from anywhere", mountAnywhere},
	{"mount/unknown", mountUnknown},
}

func mountFrom(s *suite) {
	for _, n := range []int{small, large} {
		content := pattern(n)
		d := s.push("source", content).Digest
		for range 2 { // the second time it is there already
			got, err := s.reg.MountBlob(s.ctx, "target/here", "source", d)
			s.ok(err, "mount")
			s.describes(got, d, n, "mount")
			s.same(s.blob("target/here", d), content, "mounted blob")
		}
	}
}

func mountAnywhere(s *suite) {
	for _, n := range []int{small, large} {
		content := pattern(n)
		d := s.push("source", content).Digest
		got, err := s.reg.MountBlob(s.ctx, "target", "", d)
		s.ok(err, "mount")
		s.describes(got, d, n, "mount")
		s.same(s.blob("target", d), content, "mounted blob")
	}
	_, err := s.reg.MountBlob(s.ctx, "target", "", absent)
	s.fails(err, fault.BlobUnknown, "mount what is nowhere")
}

func mountUnknown(s *suite) {
	d := s.push("source", []byte("here only")).Digest
	s.push("empty", []byte("another"))
	for _, c := range []struct {
		from string
		d    oci.Digest
	}{{"source", absent}, {"nowhere", d}, {"empty", d}} {
		_, err := s.reg.MountBlob(s.ctx, "target", c.from, c.d)
		s.fails(err, fault.BlobUnknown, "mount from "+c.from)
		_, err = s.reg.StatBlob(s.ctx, "target", c.d)
		s.fails(err, fault.BlobUnknown, "stat after a mount that failed")
	}
}

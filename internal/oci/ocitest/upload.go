package ocitest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing/iotest"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

var uploadCases = []testCase{
	{"upload/in pieces", uploadPieces},
	{"upload/empty", uploadEmpty},
	{"upload/resumed", uploadResumed},
	{"upload/taken over", uploadTakenOver},
	{"upload/broken reader", uploadBrokenReader},
	{"upload/wrong digest", uploadWrongDigest},
	{"upload/aborted", uploadAborted},
	{"upload/unknown", uploadUnknown},
	{"upload/of another repository", uploadElsewhere},
}

func (s *suite) start(repo string) oci.Upload {
	s.Helper()
	up, err := s.reg.StartUpload(s.ctx, repo)
	s.ok(err, "start upload in "+repo)
	if up.ID() == "" || up.Size() != 0 {
		s.Fatalf("a new upload has the id %q and the size %d", up.ID(), up.Size())
	}
	return up
}

// feed sends what r gives and wants the upload to be want bytes long afterwards.
func (s *suite) feed(up oci.Upload, r io.Reader, n, want int) {
	s.Helper()
	took, err := up.ReadFrom(r)
	s.ok(err, "append")
	if took != int64(n) || up.Size() != int64(want) {
		s.Fatalf("append took %d bytes, the upload has %d, want %d and %d", took, up.Size(), n, want)
	}
}

func (s *suite) commit(up oci.Upload, repo string, content []byte) {
	s.Helper()
	got, err := up.Commit(s.ctx, sum(content))
	s.ok(err, "commit")
	s.describes(got, sum(content), len(content), "commit")
	s.same(s.blob(repo, sum(content)), content, "uploaded blob")
}

// pieces are the sizes of what uploads come in; some cross one at which a registry may begin to keep bytes in another way.
var pieces = [][]int{
	{}, {0}, {1}, {8191}, {8192}, {8193}, {64 << 10}, {0, 2, 0}, {4096, 4096}, {4096, 4096, 4096}, {8191, 1, 1}, {8191, 2}, {8192, 0, 1},
	{100, 64<<10 - 100}, {64 << 10, 1}, {1000, 98_999, 0, 150_001},
}

func uploadPieces(s *suite) {
	for k, sizes := range pieces {
		repo := fmt.Sprintf("app%d", k)
		content := pattern(250_000)
		up := s.start(repo)
		at := 0
		for i, n := range sizes {
			r := io.Reader(bytes.NewReader(content[at : at+n]))
			if (i+len(sizes))%2 == 0 { // of unknown length
				r = iotest.HalfReader(r)
			}
			at += n
			s.feed(up, r, n, at)
		}
		content = content[:at]
		_, err := s.reg.StatBlob(s.ctx, repo, sum(content))
		s.fails(err, fault.BlobUnknown, "stat before commit")
		s.commit(up, repo, content)
		_, err = s.reg.ResumeUpload(s.ctx, repo, up.ID())
		s.fails(err, fault.UploadUnknown, "resume after commit")
	}
}

func uploadEmpty(s *suite) { s.commit(s.start("app"), "app", nil) }

func uploadResumed(s *suite) {
	for _, cuts := range [][]int{
		{2}, {8191}, {8192}, {8193}, {64 << 10}, {100, 8192, 8193}, {8191, 8193}, {8192, 64 << 10}, {40_000, 40_001, 100_000, 123_457},
	} {
		content := pattern(cuts[len(cuts)-1])
		up := s.start("app")
		for _, cut := range cuts {
			from := int(up.Size())
			s.feed(up, bytes.NewReader(content[from:cut]), cut-from, cut)
			s.ok(up.Close(s.ctx), "pause")
			again, err := s.reg.ResumeUpload(s.ctx, "app", up.ID())
			s.ok(err, "resume")
			if again.Size() != int64(cut) {
				s.Fatalf("resumed at %d, want %d", again.Size(), cut)
			}
			up = again
		}
		s.commit(up, "app", content)
	}
}

// Who comes back takes the upload up from where it is, though the one before never let go. A registry may wait
// a while for that one.
func uploadTakenOver(s *suite) {
	for _, n := range []int{small, 20_000} {
		content := pattern(50_000 + n)
		first := s.start("app")
		s.feed(first, bytes.NewReader(content[:n]), n, n)
		second, err := s.reg.ResumeUpload(s.ctx, "app", first.ID())
		s.ok(err, "resume what was never paused")
		from := int(second.Size())
		if from > n {
			s.Fatalf("resumed at %d, of %d bytes", from, n)
		}
		s.feed(second, bytes.NewReader(content[from:]), len(content)-from, len(content))
		s.commit(second, "app", content)
	}
}

func uploadBrokenReader(s *suite) {
	broken := errors.New("the source broke")
	for _, n := range []int{small, 8192, 8193, 50_000} {
		for _, rest := range []int{10, 40_000} {
			content := pattern(n + rest)
			up := s.start("app")
			took, err := up.ReadFrom(io.MultiReader(bytes.NewReader(content[:n]), iotest.ErrReader(broken)))
			if !errors.Is(err, broken) {
				s.Errorf("append from a reader that breaks: error %v, want the reader's", err)
			}
			if took != int64(n) || up.Size() != int64(n) {
				s.Fatalf("append took %d bytes, the upload has %d; want what came before the break, %d", took, up.Size(), n)
			}
			s.feed(up, bytes.NewReader(content[n:]), rest, len(content))
			s.commit(up, "app", content)
		}
	}
}

func uploadWrongDigest(s *suite) {
	for _, n := range []int{small, large} {
		content := pattern(n)
		up := s.start("app")
		s.feed(up, bytes.NewReader(content), n, n)
		_, err := up.Commit(s.ctx, absent)
		s.fails(err, fault.DigestInvalid, "commit")
		_, err = s.reg.ResumeUpload(s.ctx, "app", up.ID())
		s.fails(err, fault.UploadUnknown, "resume after a commit that failed")
		for _, d := range []oci.Digest{absent, sum(content)} {
			_, err = s.reg.StatBlob(s.ctx, "app", d)
			s.fails(err, fault.BlobUnknown, "stat after a commit that failed")
		}
	}
}

func uploadAborted(s *suite) {
	for _, n := range []int{0, small, large} {
		content := pattern(n)
		up := s.start("app")
		s.feed(up, bytes.NewReader(content), n, n)
		s.ok(up.Abort(s.ctx), "abort")
		_, err := s.reg.ResumeUpload(s.ctx, "app", up.ID())
		s.fails(err, fault.UploadUnknown, "resume after abort")
		_, err = s.reg.StatBlob(s.ctx, "app", sum(content))
		s.fails(err, fault.BlobUnknown, "stat after abort")
	}
}

func uploadUnknown(s *suite) {
	s.push("app", []byte("the repository exists"))
	for _, repo := range []string{"app", "nowhere"} {
		for _, id := range []string{"5d7e0f6a-1f0c-4c11-9a31-0f3f62ad9c11", "no-such-upload", "a.b", strings.Repeat("a", 300)} {
			_, err := s.reg.ResumeUpload(s.ctx, repo, id)
			s.fails(err, fault.UploadUnknown, "resume "+id+" in "+repo)
		}
	}
}

func uploadElsewhere(s *suite) {
	for _, n := range []int{small, large} {
		content := pattern(n)
		up := s.start("app")
		s.feed(up, bytes.NewReader(content), n, n)
		s.ok(up.Close(s.ctx), "pause")
		_, err := s.reg.ResumeUpload(s.ctx, "other", up.ID())
		s.fails(err, fault.UploadUnknown, "resume in another repository")
		again, err := s.reg.ResumeUpload(s.ctx, "app", up.ID())
		s.ok(err, "resume in its own")
		s.commit(again, "app", content)
	}
}

package ocitest

import (
	"bytes"
	"errors"
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

func uploadPieces(s *suite) {
	content := pattern(250_000)
	up := s.start("app")
	s.feed(up, bytes.NewReader(content[:1000]), 1000, 1000)
	s.feed(up, iotest.HalfReader(bytes.NewReader(content[1000:99_999])), 98_999, 99_999)
	s.feed(up, strings.NewReader(""), 0, 99_999)
	s.feed(up, bytes.NewReader(content[99_999:]), 150_001, 250_000)
	_, err := s.reg.StatBlob(s.ctx, "app", sum(content))
	s.fails(err, fault.BlobUnknown, "stat before commit")
	s.commit(up, "app", content)
	_, err = s.reg.ResumeUpload(s.ctx, "app", up.ID())
	s.fails(err, fault.UploadUnknown, "resume after commit")
}

func uploadEmpty(s *suite) { s.commit(s.start("app"), "app", nil) }

func uploadResumed(s *suite) {
	content := pattern(123_457)
	up := s.start("app")
	for _, cut := range []int{40_000, 40_001, 100_000, len(content)} {
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

// Who comes back takes the upload up from where it is, though the one before never let go.
func uploadTakenOver(s *suite) {
	content := pattern(50_000)
	first := s.start("app")
	s.feed(first, bytes.NewReader(content[:20_000]), 20_000, 20_000)
	second, err := s.reg.ResumeUpload(s.ctx, "app", first.ID())
	s.ok(err, "resume what was never paused")
	from := int(second.Size())
	if from > 20_000 {
		s.Fatalf("resumed at %d, of 20000 bytes", from)
	}
	s.feed(second, bytes.NewReader(content[from:]), 50_000-from, 50_000)
	s.commit(second, "app", content)
}

func uploadBrokenReader(s *suite) {
	content := pattern(90_000)
	broken := errors.New("the source broke")
	up := s.start("app")
	took, err := up.ReadFrom(io.MultiReader(bytes.NewReader(content[:50_000]), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		s.Errorf("append from a reader that breaks: error %v, want the reader's", err)
	}
	if took != 50_000 || up.Size() != 50_000 {
		s.Fatalf("append took %d bytes, the upload has %d; want what came before the break, 50000", took, up.Size())
	}
	s.feed(up, bytes.NewReader(content[50_000:]), 40_000, 90_000)
	s.commit(up, "app", content)
}

func uploadWrongDigest(s *suite) {
	up := s.start("app")
	s.feed(up, strings.NewReader("these bytes"), 11, 11)
	_, err := up.Commit(s.ctx, absent)
	s.fails(err, fault.DigestInvalid, "commit")
	_, err = s.reg.ResumeUpload(s.ctx, "app", up.ID())
	s.fails(err, fault.UploadUnknown, "resume after a commit that failed")
	for _, d := range []oci.Digest{absent, sum([]byte("these bytes"))} {
		_, err = s.reg.StatBlob(s.ctx, "app", d)
		s.fails(err, fault.BlobUnknown, "stat after a commit that failed")
	}
}

func uploadAborted(s *suite) {
	up := s.start("app")
	s.feed(up, strings.NewReader("never mind"), 10, 10)
	s.ok(up.Abort(s.ctx), "abort")
	_, err := s.reg.ResumeUpload(s.ctx, "app", up.ID())
	s.fails(err, fault.UploadUnknown, "resume after abort")
	_, err = s.reg.StatBlob(s.ctx, "app", sum([]byte("never mind")))
	s.fails(err, fault.BlobUnknown, "stat after abort")
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
	up := s.start("app")
	s.feed(up, strings.NewReader("mine"), 4, 4)
	s.ok(up.Close(s.ctx), "pause")
	_, err := s.reg.ResumeUpload(s.ctx, "other", up.ID())
	s.fails(err, fault.UploadUnknown, "resume in another repository")
	again, err := s.reg.ResumeUpload(s.ctx, "app", up.ID())
	s.ok(err, "resume in its own")
	s.commit(again, "app", []byte("mine"))
}

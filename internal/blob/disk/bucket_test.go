package disk_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/blobtest"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/fault"
)

func open(t *testing.T, dir string) *disk.Bucket {
	t.Helper()
	b, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, b *disk.Bucket, key, data string) {
	t.Helper()
	p, err := b.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(p, data); err != nil {
		t.Fatal(err)
	}
	if err := p.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) func() blob.Bucket {
		dir := t.TempDir()
		return func() blob.Bucket { return open(t, dir) }
	})
}

func TestLayout(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "by", "open")
	b := open(t, dir)
	put(t, b, "abcd", "sealed")
	p, err := b.Create(t.Context(), "abce")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for path, mode := range map[string]fs.FileMode{"ab": 0o700 | fs.ModeDir, "ab/abcd": 0o400, "ab/abce": 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), mode)
		}
	}
}

// What others leave in the directory is no object.
func TestListPassesOverOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, dir)
	put(t, b, "abcd", "x")
	for _, path := range []string{"lost+found/ab", "ab/abdir/x", "ba/abcd", "ab/a", "zz/.zz"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for info, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	if len(keys) != 1 || keys[0] != "abcd" {
		t.Errorf("listed %q, want abcd alone", keys)
	}
}

// A disk that was unmounted is not silently replaced by a folder on the one below.
func TestDirectoryGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "blobs")
	b := open(t, dir)
	put(t, b, "abcd", "x")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(t.Context(), "abce"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("Create: %v, want %v", err, fault.Unavailable)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create made the directory anew")
	}
	if _, err := b.Free(); err == nil {
		t.Error("Free answers for a directory that is gone")
	}
	if _, err := disk.Open(filepath.Join(dir, "\x00")); err == nil {
		t.Error("Open took a name no directory can have")
	}
}

// A name that cannot be made durable is an error, and stays one.
func TestFlushFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, dir)
	p, err := b.Create(t.Context(), "abcd")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "ab"), filepath.Join(dir, "aside")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Checkpoint(t.Context()); err == nil {
		t.Fatal("Checkpoint of a name that is gone succeeded")
	}
	if err := os.Rename(filepath.Join(dir, "aside"), filepath.Join(dir, "ab")); err != nil {
		t.Fatal(err)
	}
	if err := p.Seal(t.Context()); err == nil {
		t.Error("Seal succeeded after a failed flush")
	}
	if err := p.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}

// What came after the last checkpoint takes no room once the part is closed, as after a disk was full.
func TestCloseGivesRoomBack(t *testing.T) {
	t.Parallel()
	b := open(t, t.TempDir())
	size := func() int64 {
		info, err := b.Stat(t.Context(), "abcd")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size
	}
	p, err := b.Create(t.Context(), "abcd")
	for _, want := range []int64{0, 3, 6} {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write([]byte("xyz")); err != nil {
			t.Fatal(err)
		}
		var state []byte
		if want > 0 {
			if state, err = p.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if got := size(); got != want {
			t.Errorf("%d bytes are left, want %d", got, want)
		}
		p, err = b.Resume(t.Context(), "abcd", state)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Seal(t.Context()), p.Close()); err != nil {
		t.Fatal(err)
	}
	if got := size(); got != 6 {
		t.Errorf("%d bytes are left of the sealed object", got)
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	if free, err := open(t, t.TempDir()).Free(); free <= 0 || err != nil {
		t.Errorf("Free = %d, %v", free, err)
	}
}

// sendfile is what net.TCPConn and http.ResponseWriter stand for: they look at what ReadFrom gets.
type sendfile struct {
	bytes.Buffer
	file bool
}

func (s *sendfile) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		_, s.file = l.R.(*os.File)
	}
	return s.Buffer.ReadFrom(r)
}

func TestReaderIsSentAsFile(t *testing.T) {
	t.Parallel()
	b := open(t, t.TempDir())
	put(t, b, "abcd", "0123456789")
	r, err := b.Open(t.Context(), "abcd", 2, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var s sendfile
	if n, err := io.Copy(&s, r); n != 5 || err != nil || s.String() != "23456" || !s.file {
		t.Errorf("sent %d bytes %q, as a file: %v; %v", n, &s, s.file, err)
	}
}

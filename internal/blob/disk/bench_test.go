package disk_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/disk"
)

// BenchmarkPush takes bodies in through the Store and, for comparison, through a loop that reads, hashes, writes and
// flushes in turn. Point TMPDIR at the disk to measure.
func BenchmarkPush(b *testing.B) {
	for _, c := range []struct {
		name           string
		size, parallel int
	}{
		{"100MiB", 100 << 20, 1},
		{"100MiB×4", 100 << 20, 4},
		{"1MiB×8", 1 << 20, 8},
		{"4KiB", 4 << 10, 1},
		{"4KiB×8", 4 << 10, 8},
	} {
		body := random(c.size)
		want := digest.FromBytes(body)
		b.Run(c.name+"/store", func(b *testing.B) {
			bucket, err := disk.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			store := blob.NewStore(bucket)
			push(b, c.size, c.parallel, func() error {
				w, err := store.Create(b.Context())
				if err != nil {
					return err
				}
				if _, err := w.ReadFrom(io.LimitReader(body.reader(), int64(c.size))); err != nil {
					return err
				}
				if err := w.Commit(b.Context(), want); err != nil {
					return err
				}
				return store.Delete(b.Context(), w.Key())
			})
		})
		b.Run(c.name+"/in turn", func(b *testing.B) {
			dir := b.TempDir()
			push(b, c.size, c.parallel, func() error {
				path := filepath.Join(dir, blob.NewKey())
				if err := inTurn(path, body.reader()); err != nil {
					return err
				}
				return os.Remove(path)
			})
		})
	}
}

type body []byte

func random(size int) body {
	b := make(body, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// reader hides how much is left, as a socket does.
func (b body) reader() io.Reader { return struct{ io.Reader }{bytes.NewReader(b)} }

// push runs one as often as b asks, by parallel goroutines.
func push(b *testing.B, size, parallel int, one func() error) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	jobs := make(chan struct{})
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for range jobs {
				if err := one(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for b.Loop() {
		jobs <- struct{}{}
	}
	close(jobs)
	wg.Wait()
}

func inTurn(path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if _, err := f.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	h.Sum(nil)
	if err := f.Sync(); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

package blob

import (
	"io"
	"sync"
)

// Buffer sizes. A body that is known to be short never holds a large buffer; one of unknown length begins with
// medium. Large is what a socket and the page cache give best, and still fits a core's cache while it is hashed.
const (
	small  = 4 << 10
	medium = 32 << 10
	large  = 256 << 10
)

// buffers lends byte slices of the three sizes, and batches of sealed chunks.
type buffers struct{ small, medium, large, batches sync.Pool }

// batch lends room for the sealed chunks that are read or written at once; putBatch takes it back.
func (b *buffers) batch() *[batchSize]byte {
	if p, ok := b.batches.Get().(*[batchSize]byte); ok {
		return p
	}
	return new([batchSize]byte)
}

func (b *buffers) putBatch(p *[batchSize]byte) { b.batches.Put(p) }

func (b *buffers) get(size int) []byte {
	switch size {
	case small:
		if p, ok := b.small.Get().(*[small]byte); ok {
			return p[:]
		}
	case medium:
		if p, ok := b.medium.Get().(*[medium]byte); ok {
			return p[:]
		}
	case large:
		if p, ok := b.large.Get().(*[large]byte); ok {
			return p[:]
		}
	}
	return make([]byte, size)
}

// put takes back what get lent, at any length.
func (b *buffers) put(buf []byte) {
	switch cap(buf) {
	case small:
		b.small.Put((*[small]byte)(buf[:small]))
	case medium:
		b.medium.Put((*[medium]byte)(buf[:medium]))
	case large:
		b.large.Put((*[large]byte)(buf[:large]))
	}
}

// firstBuffer is the size to begin reading r with: room for all of it and the end of file where r tells how much
// is left.
func firstBuffer(r io.Reader) int {
	left := int64(medium - 1)
	switch r := r.(type) {
	case interface{ Len() int }:
		left = int64(r.Len())
	case *io.LimitedReader:
		left = r.N
	}
	switch {
	case left < small:
		return small
	case left < medium:
		return medium
	}
	return large
}

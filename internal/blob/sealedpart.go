package blob

import (
	"context"
	"encoding/binary"

	"github.com/acre-registry/acre/internal/fault"
)

// sealedPart is a sealed object being written. One chunk is held back, for the last is marked, and a Checkpoint keeps it in the
// state: so no chunk is ever written before it is full, and none needs to be replaced.
type sealedPart struct {
	under  Part
	bucket sealedBucket
	chunks chunks
	key    string

	next    uint64 // number of the chunk held back
	pending []byte
	ended   bool
}

// Write implements io.Writer.
func (p *sealedPart) Write(b []byte) (int, error) {
	if err := p.usable(); err != nil {
		return 0, err
	}
	batch := p.bucket.buffers.batch()
	defer p.bucket.buffers.putBatch(batch)
	out := batch[:0]
	for rest := b; len(rest) > 0; {
		if len(out) == batchSize {
			if _, err := p.under.Write(out); err != nil {
				return 0, err
			}
			out = out[:0]
		}
		switch {
		case len(p.pending) == chunkSize:
			out = p.chunks.seal(out, p.next, p.pending, false)
			p.pending = p.pending[:0]
			p.next++
		case len(p.pending) == 0 && len(rest) > chunkSize:
			out = p.chunks.seal(out, p.next, rest[:chunkSize], false)
			rest = rest[chunkSize:]
			p.next++
		default:
			n := min(len(rest), chunkSize-len(p.pending))
			p.pending = append(p.pending, rest[:n]...)
			rest = rest[n:]
		}
	}
	if len(out) > 0 {
		if _, err := p.under.Write(out); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (p *sealedPart) usable() error {
	if p.ended {
		return fault.New(fault.Conflict, "object %s is closed to this writer; resume it", p.key)
	}
	return nil
}

// Checkpoint implements Part.
func (p *sealedPart) Checkpoint(ctx context.Context) ([]byte, error) {
	if err := p.usable(); err != nil {
		return nil, err
	}
	under, err := p.under.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return sealedState{next: p.next, under: under, pending: p.pending}.write(p.bucket.cipher, p.key), nil
}

// Seal implements Part.
func (p *sealedPart) Seal(ctx context.Context) error {
	if err := p.usable(); err != nil {
		return err
	}
	if _, err := p.under.Write(p.chunks.seal(nil, p.next, p.pending, true)); err != nil {
		return err
	}
	if err := p.under.Seal(ctx); err != nil {
		return err
	}
	p.ended = true
	return nil
}

// Close implements Part.
func (p *sealedPart) Close() error {
	p.ended = true
	return p.under.Close()
}

// Abort implements Part.
func (p *sealedPart) Abort(ctx context.Context) error {
	p.ended = true
	return p.under.Abort(ctx)
}

// sealedState is where a sealedPart stands.
type sealedState struct {
	next    uint64 // number of the chunk held back
	under   []byte // the other bucket's state
	pending []byte // what that chunk holds
}

// The first byte of a state that was written; a later layout takes the next number.
const sealedStateVersion = 1

// write gives version, number and the other bucket's state with its length before it, then, sealed, all of these and the chunk.
func (st sealedState) write(c *Cipher, key string) []byte {
	head := append(make([]byte, 0, 2*binary.MaxVarintLen64+len(st.under)+len(st.pending)+RowOverhead), sealedStateVersion)
	head = binary.AppendUvarint(head, st.next)
	head = append(binary.AppendUvarint(head, uint64(len(st.under))), st.under...)
	return append(head, c.seal(ofState, key+"\x00"+string(head), st.pending)...)
}

// read is the way back. Errors: fault.Internal for what is no state, fault.NotFound for another object's.
func (st *sealedState) read(c *Cipher, key string, state []byte) error {
	next, rest, ok := uint64(0), []byte(nil), state[0] == sealedStateVersion
	if ok {
		if next, rest, ok = cutUvarint(state[1:]); ok {
			st.under, rest, ok = cutBytes(rest)
		}
	}
	if !ok || len(rest) < RowOverhead {
		return fault.New(fault.Internal, "object %s has a saved state of %d bytes that is not this bucket's; restart the upload", key, len(state))
	}
	pending, err := c.open(ofState, key+"\x00"+string(state[:len(state)-len(rest)]), rest)
	if err != nil || len(pending) > chunkSize {
		return fault.New(fault.NotFound, "object %s is not the one whose state was saved, or its key is another; restart the upload", key)
	}
	st.next, st.pending = next, pending
	return nil
}

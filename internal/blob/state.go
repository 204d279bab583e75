package blob

import (
	"encoding/binary"
	"math"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
)

// State is where an upload stands: enough to go on with it in another process. The zero State is an upload of which
// nothing was kept yet.
type State struct {
	Size int64            // bytes taken
	Alg  digest.Algorithm // of Hash
	Hash []byte           // the running hash over those bytes
	Part []byte           // the bucket's own
}

// The first byte of a marshalled State; a later layout takes the next number.
const stateVersion = 1

// Algorithms by their number in a marshalled State.
var stateAlgs = [...]digest.Algorithm{"", digest.SHA256, digest.SHA512}

// MarshalBinary writes the state compactly: version, algorithm, size, then hash and part with their lengths before
// them. Errors: fault.Internal for an algorithm other than sha256 and sha512 or a negative size.
func (st State) MarshalBinary() ([]byte, error) {
	alg := -1
	for i, a := range stateAlgs {
		if a == st.Alg {
			alg = i
		}
	}
	if alg < 0 || st.Size < 0 {
		return nil, fault.New(fault.Internal, "upload state of %d bytes hashed with %q cannot be written down", st.Size, st.Alg)
	}
	b := make([]byte, 0, 2+3*binary.MaxVarintLen64+len(st.Hash)+len(st.Part))
	b = append(b, stateVersion, byte(alg))
	b = binary.AppendUvarint(b, uint64(st.Size))
	b = append(binary.AppendUvarint(b, uint64(len(st.Hash))), st.Hash...)
	b = append(binary.AppendUvarint(b, uint64(len(st.Part))), st.Part...)
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote. Errors: fault.Internal; st is then unchanged.
func (st *State) UnmarshalBinary(data []byte) error {
	if len(data) < 2 || data[0] != stateVersion || int(data[1]) >= len(stateAlgs) {
		return fault.New(fault.Internal, "upload state of %d bytes has a layout this version does not know; restart the upload", len(data))
	}
	out := State{Alg: stateAlgs[data[1]]}
	size, rest, ok := cutUvarint(data[2:])
	if ok && size <= math.MaxInt64 {
		out.Size = int64(size)
		if out.Hash, rest, ok = cutBytes(rest); ok {
			out.Part, rest, ok = cutBytes(rest)
		}
	}
	if !ok || size > math.MaxInt64 || len(rest) > 0 {
		return fault.New(fault.Internal, "upload state of %d bytes is damaged; restart the upload", len(data))
	}
	*st = out
	return nil
}

func cutUvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// cutBytes copies a field out of b, so that a State does not hold on to a database row.
func cutBytes(b []byte) (field, rest []byte, ok bool) {
	n, b, ok := cutUvarint(b)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return append([]byte(nil), b[:n]...), b[n:], true
}

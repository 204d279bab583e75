package meta

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"

	"github.com/acre-registry/acre/internal/oci"
)

// digest is an oci.Digest as the store keeps it: a byte for the algorithm and the raw sum, half of the text's length,
// in the text's order.
type digest oci.Digest

const (
	sha256Byte = 1
	sha512Byte = 2
)

func (d digest) Value() (driver.Value, error) {
	if d == "" {
		return nil, nil
	}
	parsed, err := oci.ParseDigest(string(d))
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1, 65)
	out[0] = sha256Byte
	if parsed.Algorithm() == "sha512" {
		out[0] = sha512Byte
	}
	return hex.AppendDecode(out, []byte(parsed.Encoded()))
}

func (d *digest) Scan(src any) error {
	raw, ok := src.([]byte)
	switch {
	case src == nil:
		*d = ""
		return nil
	case ok && len(raw) == 33 && raw[0] == sha256Byte:
		*d = spell("sha256:", raw[1:])
		return nil
	case ok && len(raw) == 65 && raw[0] == sha512Byte:
		*d = spell("sha512:", raw[1:])
		return nil
	}
	return fmt.Errorf("the store holds %d bytes where a digest belongs", len(raw))
}

// spell writes a digest out, in one allocation.
func spell(algorithm string, sum []byte) digest {
	var room [135]byte
	return digest(hex.AppendEncode(append(room[:0], algorithm...), sum))
}

// after is where a page of digests goes on: the digest itself, or what sorts before all.
func after(d string) (any, error) {
	if d == "" {
		return []byte{}, nil
	}
	return digest(d).Value()
}

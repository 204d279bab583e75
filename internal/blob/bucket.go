// Package blob keeps bytes. A Store takes uploads in, hashing while it writes, and reads ranges back; under it lies
// a Bucket, the driver of one kind of storage, which knows objects by key and nothing of digests.
//
// Bytes are inert: an object counts only once a row in the metadata names its key. Objects are never renamed and
// never change after Seal.
package blob

import (
	"context"
	"io"
	"iter"
	"time"
)

// Bucket keeps named objects. Keys are those CheckKey accepts; the Store above makes them.
// Every method may return fault.Invalid for a bad key, fault.Unavailable, fault.Full where no space is left, and
// Internal.
type Bucket interface {
	// Create begins a new object, which becomes readable by Seal. Errors: fault.Exists.
	Create(ctx context.Context, key string) (Part, error)
	// Resume goes on with an object at the point where Checkpoint gave state, or from its first byte where state is
	// empty; bytes written after that point are dropped. Errors: fault.NotFound where less than that is left of it,
	// fault.Conflict where it was sealed or another Part of it is still open.
	Resume(ctx context.Context, key string, state []byte) (Part, error)
	// Open reads n bytes from off, n < 0 to the end, of a sealed object; whether an object being written can be
	// read is up to the driver. The caller closes it and has checked the range; a reader that finds less says
	// io.ErrUnexpectedEOF. One that can be sent without copying implements io.WriterTo. It goes on reading when the
	// object is deleted meanwhile. Errors: fault.NotFound.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// Stat describes an object, sealed or not. Errors: fault.NotFound.
	Stat(ctx context.Context, key string) (Info, error)
	// Delete removes an object, sealed or not; one that is not there is no error.
	Delete(ctx context.Context, key string) error
	// List goes through the objects, sealed or not, whose key comes after after, in byte order.
	List(ctx context.Context, after string) iter.Seq2[Info, error]
}

// Part is an object being written, by one goroutine at a time. It ends with Seal, Close or Abort; a Part that was
// sealed or closed may be closed again. After an error of Write, Checkpoint or Seal only Close and Abort are of use.
type Part interface {
	io.Writer
	// Checkpoint makes what was written durable and gives what Resume needs to go on from here, never empty.
	// Errors: fault.NotFound where the object was deleted meanwhile.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Seal makes the object durable, readable and final. Errors: fault.NotFound where it was deleted meanwhile.
	Seal(ctx context.Context) error
	// Close lets go of the part; it can be resumed from the last Checkpoint.
	Close() error
	// Abort removes what was written.
	Abort(ctx context.Context) error
}

// Info describes an object.
type Info struct {
	Key      string
	Size     int64     // bytes; of an object being written not more than it was given
	Modified time.Time // when it was last written
}

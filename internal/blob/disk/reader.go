package disk

import (
	"io"
	"os"
)

// reader is a range of a file.
type reader struct {
	left io.LimitedReader
	file *os.File
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.left.Read(b)
	if err == io.EOF && r.left.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// WriteTo shows w the file itself behind an io.LimitedReader, which is what net and net/http know to send without
// copying it through the process.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, &r.left)
	if err == nil && r.left.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (r *reader) Close() error { return r.file.Close() }

package ociclient

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// source is a request's body. Short ones are kept whole and can be sent again; so can what has random access. A
// stream can be sent again only as long as nothing beyond its head was read: the request asks with
// Expect: 100-continue, so that a challenge or a refusal comes before that.
type source struct {
	head []byte
	rest io.Reader // nil = head is all

	at   io.ReaderAt // instead of both
	size int64       // of at, or of head; -1 = not known

	// gentle ends the body cleanly where rest breaks, so that the far side keeps what came.
	gentle bool

	mu     sync.Mutex
	read   bool  // rest has been read from
	sent   int64 // bytes given to the latest view
	err    error // of rest, but for io.EOF
	latest *view
}

const headSize = 64 << 10

func fixed(body []byte) *source { return &source{head: body, size: int64(len(body))} }

// open makes a source of r. The error is that of r while its first bytes were read; with gentle, the source is
// then what came before.
func open(r io.Reader, gentle bool) (*source, error) {
	if at, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	}); ok {
		from, err := at.Seek(0, io.SeekCurrent)
		if err == nil {
			var end int64
			if end, err = at.Seek(0, io.SeekEnd); err == nil {
				return &source{at: io.NewSectionReader(at, from, end-from), size: end - from}, nil
			}
		}
	}
	head, err := readHead(r)
	switch {
	case err == nil:
		return &source{head: head, rest: r, size: -1, gentle: gentle}, nil
	case err == io.EOF:
		return fixed(head), nil
	case gentle:
		s := fixed(head)
		s.gentle, s.err = true, err
		return s, nil
	}
	return nil, err
}

// readHead reads headSize bytes, or what there is before r's error, which io.ReadFull would blur: a body that was
// cut off must not look like one that ended.
func readHead(r io.Reader) ([]byte, error) {
	head := make([]byte, headSize)
	for n := 0; ; {
		m, err := r.Read(head[n:])
		n += m
		if n == headSize || err != nil {
			if n == headSize {
				err = nil
			}
			return head[:n], err
		}
	}
}

// into makes the source the request's body.
func (s *source) into(req *http.Request) {
	req.ContentLength = s.size
	if s.size == 0 {
		req.Body = http.NoBody
		return
	}
	req.GetBody = s.body
	req.Body, _ = s.body() // nothing was read yet
	if s.rest != nil {
		req.Header.Set("Expect", "100-continue")
	}
}

var errSpent = errors.New("the body was sent in part and cannot be sent again")

// body is the source from its start. A view given before reads no further.
func (s *source) body() (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read {
		return nil, errSpent
	}
	v := &view{s: s, r: bytes.NewReader(s.head)}
	switch {
	case s.at != nil:
		v.r = io.NewSectionReader(s.at, 0, s.size)
	case s.rest != nil:
		v.r = io.MultiReader(v.r, tail{v})
	}
	s.latest, s.sent = v, 0
	return v, nil
}

// taken is how many bytes the latest view gave.
func (s *source) taken() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// lost is the reader's own error.
func (s *source) lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// view is one pass over a source.
type view struct {
	s *source
	r io.Reader
}

func (v *view) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if v.s.latest != v {
		return 0, errSpent
	}
	v.s.sent += int64(n)
	return n, err
}

func (v *view) Close() error { return nil }

// tail is what follows the head. Who reads it first makes the source one that cannot be sent again.
type tail struct{ v *view }

func (t tail) Read(p []byte) (int, error) {
	s := t.v.s
	s.mu.Lock()
	if s.latest != t.v {
		s.mu.Unlock()
		return 0, errSpent
	}
	s.read = true
	s.mu.Unlock()

	n, err := s.rest.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	if s.gentle {
		err = io.EOF
	}
	return n, err
}

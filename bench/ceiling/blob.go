package ceiling

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type counter struct{ n atomic.Uint64 }

func (c *counter) next() string { return strconv.FormatUint(c.n.Add(1), 36) }

// upload is one blob on its way in; requests for one upload come one after another.
type upload struct {
	id   string
	file *os.File // nil until the first byte
	sum  hash.Hash
	size int64
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 1<<20); return &b }}

var errDigest = errors.New("the content has another digest")

// locate gives the path and shard of a digest; ok is false for what is no sha256 digest.
func (s *Server) locate(digest string) (path string, shard int, ok bool) {
	enc, found := strings.CutPrefix(digest, digestPrefix)
	if raw, err := hex.DecodeString(enc); err == nil && found && len(raw) == sha256.Size {
		return filepath.Join(s.dir, enc[:2], enc), int(raw[0]), true
	}
	return "", 0, false
}

func (s *Server) blob(w http.ResponseWriter, r *http.Request, digest string) {
	path, _, ok := s.locate(digest)
	if !ok {
		http.NotFound(w, r)
		return
	}
	f, err := os.Open(path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	h := w.Header()
	h["Content-Type"], h["Docker-Content-Digest"] = []string{"application/octet-stream"}, []string{digest}
	http.ServeContent(w, r, "", time.Time{}, f)
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request, name, id string) {
	q := r.URL.Query()
	var u *upload
	if r.Method == http.MethodPost {
		if path, _, ok := s.locate(q.Get("mount")); ok {
			if _, err := os.Stat(path); err == nil {
				created(w, name, q.Get("mount"))
				return
			}
		}
		u = &upload{id: s.serial.next(), sum: sha256.New()}
		s.uploads.Store(u.id, u)
	} else if v, ok := s.uploads.Load(id); ok {
		u = v.(*upload)
	} else {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodDelete {
		s.discard(u)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.receive(w, r, name, u)
}

func (s *Server) receive(w http.ResponseWriter, r *http.Request, name string, u *upload) {
	if r.ContentLength != 0 {
		if err := s.write(u, r.Body); err != nil {
			s.discard(u)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	digest := r.URL.Query().Get("digest")
	if digest == "" {
		w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+u.id)
		w.Header().Set("Range", fmt.Sprintf("0-%d", max(u.size-1, 0)))
		w.WriteHeader(http.StatusAccepted)
		return
	}
	switch err := s.commit(u, digest); {
	case errors.Is(err, errDigest):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		created(w, name, digest)
	}
}

func created(w http.ResponseWriter, name, digest string) {
	w.Header()["Docker-Content-Digest"] = []string{digest}
	w.Header().Set("Location", "/v2/"+name+"/blobs/"+digest)
	w.WriteHeader(http.StatusCreated)
}

// write appends body. A body that was cut off looks like one that ended: its digest will tell.
func (s *Server) write(u *upload, body io.Reader) (err error) {
	if u.file == nil {
		if u.file, err = os.Create(filepath.Join(s.dir, "upload-"+u.id)); err != nil {
			return err
		}
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := io.ReadFull(body, *buf)
		u.sum.Write((*buf)[:n])
		if _, werr := u.file.Write((*buf)[:n]); werr != nil {
			return werr
		}
		u.size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// commit makes the upload a blob; whatever happens, the upload has ended.
func (s *Server) commit(u *upload, digest string) error {
	path, shard, ok := s.locate(digest)
	if !ok || digestPrefix+hex.EncodeToString(u.sum.Sum(nil)) != digest {
		s.discard(u)
		return errDigest
	}
	if u.file == nil { // an empty blob
		if err := s.write(u, http.NoBody); err != nil {
			s.discard(u)
			return err
		}
	}
	if s.durable {
		if err := u.file.Sync(); err != nil {
			s.discard(u)
			return err
		}
	}
	if err := os.Rename(u.file.Name(), path); err != nil {
		s.discard(u)
		return err
	}
	s.uploads.Delete(u.id)
	if err := u.file.Close(); err != nil {
		return err
	}
	if s.durable {
		return s.shards[shard].Sync()
	}
	return nil
}

func (s *Server) discard(u *upload) {
	s.uploads.Delete(u.id)
	if u.file != nil {
		u.file.Close()
		os.Remove(u.file.Name())
	}
}

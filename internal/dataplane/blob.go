package dataplane

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/web"
)

var (
	octets      = []string{oci.TypeOctets}
	acceptBytes = []string{"bytes"}
)

// headBlob describes a blob. It is 200 with a Range too: a client probes so.
func (f *Face) headBlob(q *request, w http.ResponseWriter, r *http.Request) error {
	desc, err := f.statBlob(q, r)
	if err != nil {
		return err
	}
	h := w.Header()
	describe(h, desc)
	h["Content-Type"], h["Accept-Ranges"] = octets, acceptBytes
	h["Content-Length"] = []string{strconv.FormatInt(desc.Size, 10)}
	return nil
}

func (f *Face) statBlob(q *request, r *http.Request) (oci.Descriptor, error) {
	d, err := oci.ParseDigest(q.ref)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return q.in.StatBlob(r.Context(), q.repo, d)
}

// blob sends a blob or a range of it.
func (f *Face) blob(q *request, w http.ResponseWriter, r *http.Request) error {
	desc, err := f.statBlob(q, r)
	if err != nil {
		return err
	}
	h := w.Header()
	describe(h, desc)
	h["Accept-Ranges"] = acceptBytes
	if match(r.Header["If-None-Match"], string(desc.Digest)) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	asked := r.Header.Get("Range")
	if condition, ok := r.Header["If-Range"]; ok && !match(condition, string(desc.Digest)) {
		asked = ""
	}
	off, n, partial, err := web.ParseRange(asked, desc.Size)
	if err != nil {
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(desc.Size, 10))
		return err
	}
	body, err := q.in.OpenBlob(r.Context(), q.repo, desc.Digest, off, n)
	if err != nil {
		return err
	}
	defer body.Close()
	h["Content-Type"] = octets
	h["Content-Length"] = []string{strconv.FormatInt(n, 10)}
	if partial {
		h.Set("Content-Range", web.ContentRange(off, n, desc.Size))
		w.WriteHeader(http.StatusPartialContent)
	}
	_, err = io.Copy(w, body)
	return err
}

// deleteBlob takes a digest that cannot exist for one that does not: clients expect 202, 404 or 405, not 400.
func (f *Face) deleteBlob(q *request, w http.ResponseWriter, r *http.Request) error {
	d, err := oci.ParseDigest(q.ref)
	if err != nil {
		return fault.New(fault.BlobUnknown, "blob unknown to registry: %w", err)
	}
	if err := q.in.DeleteBlob(r.Context(), q.repo, d); err != nil {
		return err
	}
	return accepted(w)
}

// startUpload begins an upload, mounts a blob, or takes a whole one with ?digest=.
func (f *Face) startUpload(q *request, w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	if mount := query.Get("mount"); mount != "" {
		d, err := oci.ParseDigest(mount)
		if err != nil {
			return err
		}
		_, err = q.in.MountBlob(r.Context(), q.repo, query.Get("from"), d)
		if err == nil {
			return blobCreated(q, w, d)
		}
		if !errors.Is(err, fault.BlobUnknown) && !errors.Is(err, fault.NameInvalid) {
			return err
		}
	} else if query.Has("digest") {
		return f.pushBlob(q, w, r, query.Get("digest"))
	}
	u, err := q.in.StartUpload(r.Context(), q.repo)
	if err != nil {
		return err
	}
	if err := u.Close(r.Context()); err != nil {
		return err
	}
	progress(q, w, u.ID(), 0)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (f *Face) pushBlob(q *request, w http.ResponseWriter, r *http.Request, digest string) error {
	d, err := oci.ParseDigest(digest)
	if err != nil {
		return err
	}
	if _, err := q.in.PushBlob(r.Context(), q.repo, d, incoming(w, r)); err != nil {
		return err
	}
	return blobCreated(q, w, d)
}

func blobCreated(q *request, w http.ResponseWriter, d oci.Digest) error {
	h := w.Header()
	h["Docker-Content-Digest"] = []string{string(d)}
	created(h, "/v2/"+q.repo+"/blobs/"+string(d))
	w.WriteHeader(http.StatusCreated)
	return nil
}

// progress tells where an upload goes on: a relative path, with a query because clients append &digest= to it, and
// the range taken so far, which is 0-0 for nothing.
func progress(q *request, w http.ResponseWriter, id string, size int64) {
	h := w.Header()
	created(h, "/v2/"+q.repo+"/blobs/uploads/"+id+"?_nouploadcache=false&_state="+id)
	h["Docker-Upload-Uuid"] = []string{id}
	h["Range"] = []string{"0-" + strconv.FormatInt(max(size-1, 0), 10)}
}

// uploadBody is a request's body that another request can interrupt.
type uploadBody struct {
	io.Reader
	rc      *http.ResponseController
	stopped atomic.Bool
}

var errInterrupted = fault.New(fault.Conflict, "another request took the upload over")

func (b *uploadBody) Read(p []byte) (int, error) {
	if b.stopped.Load() {
		return 0, errInterrupted
	}
	return b.Reader.Read(p)
}

// Interrupt has a Read that waits return, and every later one.
func (b *uploadBody) Interrupt() {
	b.stopped.Store(true)
	_ = b.rc.SetReadDeadline(time.Unix(1, 0)) // a connection without deadlines ends its Read when the client leaves
}

// incoming is the request's body, with its length where the client said it.
func incoming(w http.ResponseWriter, r *http.Request) io.Reader {
	body := &uploadBody{Reader: r.Body, rc: http.NewResponseController(w)}
	if r.ContentLength >= 0 {
		return &io.LimitedReader{R: body, N: r.ContentLength}
	}
	return body
}

// uploadStatus tells where an upload stands. It takes it up for that: who asks has lost its connection, and what it is
// told must be what its next chunk is held against.
func (f *Face) uploadStatus(q *request, w http.ResponseWriter, r *http.Request) error {
	u, err := q.in.ResumeUpload(r.Context(), q.repo, q.ref)
	if err != nil {
		return err
	}
	size := u.Size()
	if err := u.Close(r.Context()); err != nil {
		return err
	}
	progress(q, w, q.ref, size)
	delete(w.Header(), "Content-Length") // 204 has none
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// patchUpload takes a chunk, or all there is in one stream. Out of order it is 416, and the upload goes on as it was.
func (f *Face) patchUpload(q *request, w http.ResponseWriter, r *http.Request) error {
	u, err := f.resume(q, w, r)
	if err != nil {
		return err
	}
	_, err = u.ReadFrom(incoming(w, r))
	if err := errors.Join(err, u.Close(r.Context())); err != nil {
		return err
	}
	progress(q, w, u.ID(), u.Size())
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// resume takes the upload up and holds the chunk's range against it.
func (f *Face) resume(q *request, w http.ResponseWriter, r *http.Request) (oci.Upload, error) {
	u, err := q.in.ResumeUpload(r.Context(), q.repo, q.ref)
	if err != nil {
		return nil, err
	}
	header := r.Header.Get("Content-Range")
	if header == "" {
		return u, nil
	}
	off, n, err := web.ParseContentRange(header)
	switch {
	case err != nil:
	case off != u.Size():
		err = fault.New(fault.RangeInvalid, "the chunk begins at %d, the upload stands at %d", off, u.Size())
	case r.ContentLength >= 0 && r.ContentLength != n:
		err = fault.New(fault.SizeInvalid, "the chunk's range has %d bytes, its body %d", n, r.ContentLength)
	default:
		return u, nil
	}
	progress(q, w, u.ID(), u.Size())
	delete(w.Header(), "Content-Length")
	return nil, errors.Join(err, u.Close(r.Context()))
}

// putUpload takes the last bytes, or none, and makes the upload a blob.
func (f *Face) putUpload(q *request, w http.ResponseWriter, r *http.Request) error {
	d, err := oci.ParseDigest(r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	u, err := f.resume(q, w, r)
	if err != nil {
		return err
	}
	if r.ContentLength != 0 {
		if _, err := u.ReadFrom(incoming(w, r)); err != nil {
			return errors.Join(err, u.Close(r.Context()))
		}
	}
	if _, err := u.Commit(r.Context(), d); err != nil {
		return err
	}
	return blobCreated(q, w, d)
}

func (f *Face) cancelUpload(q *request, w http.ResponseWriter, r *http.Request) error {
	u, err := q.in.ResumeUpload(r.Context(), q.repo, q.ref)
	if err != nil {
		return err
	}
	if err := u.Abort(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Package oci is the vocabulary of the distribution protocol: digests, references, descriptors, manifests,
// and Registry, the contents of one registry, near or far. No I/O.
package oci

import (
	"context"
	"encoding/json"
	"io"
	"sync"
)

// Registry is a registry's contents. Every method may also return Unauthenticated, Denied, Blocked,
// TooMany, Unavailable and Internal; the errors listed are those a caller may branch on besides.
// Names and digests are checked: NAME_INVALID, DIGEST_INVALID, TAG_INVALID.
type Registry interface {
	Reader
	Writer
	Deleter
	Lister
}

// Reader reads what is there.
type Reader interface {
	// Resolve finds a manifest's descriptor. Errors: MANIFEST_UNKNOWN.
	Resolve(ctx context.Context, repo string, ref Ref) (Descriptor, error)
	// Manifest is Resolve with the exact bytes, which the caller must not change.
	Manifest(ctx context.Context, repo string, ref Ref) (Descriptor, []byte, error)
	// StatBlob finds a blob's descriptor. Errors: BLOB_UNKNOWN.
	StatBlob(ctx context.Context, repo string, d Digest) (Descriptor, error)
	// OpenBlob reads n bytes from off; n < 0 means to the end. The caller closes it.
	// Errors: BLOB_UNKNOWN; RANGE_INVALID where off or off+n lies outside the blob.
	OpenBlob(ctx context.Context, repo string, d Digest, off, n int64) (io.ReadCloser, error)
}

// Writer brings content in.
type Writer interface {
	// PushBlob takes a whole blob and returns when it is durable. Errors: DIGEST_INVALID where r is not d.
	PushBlob(ctx context.Context, repo string, d Digest, r io.Reader) (Descriptor, error)
	// StartUpload begins a blob that comes in pieces.
	StartUpload(ctx context.Context, repo string) (Upload, error)
	// ResumeUpload takes an upload up again, on any node, after any restart. A request that still holds it is
	// cut off first, for its client is taken to have come back. Errors: BLOB_UPLOAD_UNKNOWN; Conflict where the
	// holder does not let go.
	ResumeUpload(ctx context.Context, repo, id string) (Upload, error)
	// MountBlob makes a blob of the repository from readable in repo. With from == "" any repository that the
	// caller can read will do. Errors: BLOB_UNKNOWN where there is none, or none that the caller may see.
	MountBlob(ctx context.Context, repo, from string, d Digest) (Descriptor, error)
	// PutManifest stores exactly body, under its digest and, where ref has a tag, under that.
	// Errors: MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN, DIGEST_INVALID, Disallowed.
	PutManifest(ctx context.Context, repo string, ref Ref, mediaType string, body []byte) (Descriptor, error)
}

// Upload is a blob on its way in. One goroutine uses it; it ends with Commit, Close or Abort.
type Upload interface {
	ID() string
	// Size is how many bytes have been taken, in bytes.
	Size() int64
	// ReadFrom takes bytes until r ends. What it took survives an error of r; but of an *io.LimitedReader, which tells its
	// length, all is taken or nothing.
	io.ReaderFrom
	// Commit makes the blob readable and durable, if its digest is d. Errors: DIGEST_INVALID, after which
	// the upload is gone.
	Commit(ctx context.Context, d Digest) (Descriptor, error)
	// Close pauses: what was taken is durable and can be resumed.
	Close(ctx context.Context) error
	// Abort forgets the upload.
	Abort(ctx context.Context) error
}

// Deleter takes content away; afterwards no read sees it.
type Deleter interface {
	// DeleteManifest removes the manifest, its tags, and the referrers that have it as their subject.
	// Errors: MANIFEST_UNKNOWN, Disallowed.
	DeleteManifest(ctx context.Context, repo string, d Digest) error
	// DeleteTag removes the name only. Errors: MANIFEST_UNKNOWN, Disallowed.
	DeleteTag(ctx context.Context, repo, tag string) error
	// DeleteBlob takes the blob out of this repository; others keep theirs. Errors: BLOB_UNKNOWN.
	DeleteBlob(ctx context.Context, repo string, d Digest) error
	// DeleteRepository removes everything under the name. Errors: NAME_UNKNOWN.
	DeleteRepository(ctx context.Context, repo string) (Deleted, error)
}

// Deleted says what went with a repository.
type Deleted struct {
	Manifests []Digest
	Tags      []string
}

// Page asks for at most Limit names that sort, byte by byte, after After (which need not exist).
type Page struct {
	After string
	Limit int
}

// Lister lists names in byte order. more says that a further page exists.
type Lister interface {
	Repositories(ctx context.Context, p Page) (names []string, more bool, err error)
	// Tags lists a repository's tags. Errors: NAME_UNKNOWN.
	Tags(ctx context.Context, repo string, p Page) (names []string, more bool, err error)
	// Referrers lists the manifests whose subject is d, by digest, of one artifact type if it is not "".
	// Nothing at all is an empty page, for unknown repositories too.
	Referrers(ctx context.Context, repo string, d Digest, artifactType string, p Page) (*Referrers, error)
}

// Referrers is a page of referrers. It does not change once made and may be shared.
type Referrers struct {
	Manifests []Descriptor
	More      bool

	once sync.Once
	body []byte
}

// Index is the page as an image index, rendered once.
func (r *Referrers) Index() []byte {
	r.once.Do(func() {
		list := r.Manifests
		if list == nil {
			list = []Descriptor{}
		}
		// A struct of strings, numbers and maps of them always marshals.
		r.body, _ = json.Marshal(struct {
			SchemaVersion int          `json:"schemaVersion"`
			MediaType     string       `json:"mediaType"`
			Manifests     []Descriptor `json:"manifests"`
		}{2, TypeIndex, list})
	})
	return r.body
}

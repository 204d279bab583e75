package acr

import (
	"time"

	"github.com/acre-registry/acre/internal/oci"
)

// EventKind names what happened to a registry's contents.
type EventKind string

// What the log records.
const (
	ManifestPushed    EventKind = "manifest.pushed"
	ManifestDeleted   EventKind = "manifest.deleted"
	TagPushed         EventKind = "tag.pushed"
	TagDeleted        EventKind = "tag.deleted"
	BlobDeleted       EventKind = "blob.deleted"
	AttributesChanged EventKind = "attributes.changed" // of a repository, a tag or a manifest
	RepositoryDeleted EventKind = "repository.deleted"
	Collected         EventKind = "collected"         // blobs without a reference left a repository
	ManifestReleased  EventKind = "manifest.released" // it passed quarantine
)

// Event is an entry of a registry's log. Registry, Seq and At are filled in when it is appended: Seq counts
// from 1 without a gap in the order in which changes took effect.
type Event struct {
	Registry   string     `json:"registry"`
	Seq        int64      `json:"seq"`
	At         time.Time  `json:"at"`
	Kind       EventKind  `json:"kind"`
	Repository string     `json:"repository,omitempty"`
	Tag        string     `json:"tag,omitempty"`
	Digest     oci.Digest `json:"digest,omitempty"`
	MediaType  string     `json:"mediaType,omitempty"`
	Size       int64      `json:"size,omitempty"`     // bytes
	Previous   oci.Digest `json:"previous,omitempty"` // where a tag moved from
	Count      int        `json:"count,omitempty"`    // how many, for Collected
	Actor      string     `json:"actor"`              // who: a user name, a token name, or system:…
	RequestID  string     `json:"requestId,omitempty"`

	ArtifactType string    `json:"artifactType,omitempty"`
	Tags         []string  `json:"tags,omitempty"`        // that went with a manifest, MaxEventTags at most
	Quarantined  bool      `json:"quarantined,omitempty"` // a push that is not told of before it is released
	Request      EventCall `json:"request,omitzero"`
}

// MaxEventTags bounds the tags that an event names.
const MaxEventTags = 1000

// EventCall is the request by which something happened, as its client sent it; the zero value where there was none.
type EventCall struct {
	Host      string `json:"host,omitempty"`
	Method    string `json:"method,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	Address   string `json:"address,omitempty"`
}

// Intent is a promise to do something later: it becomes a job in the transaction that makes it.
type Intent interface {
	// Kind names the handler, such as "webhook.deliver".
	Kind() string
}

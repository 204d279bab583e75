package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acre-registry/acre/internal/fault"
)

// Descriptor names content by type, digest and size (image-spec "Descriptor").
type Descriptor = v1.Descriptor

// MaxManifest is the largest manifest accepted, in bytes (ACR's 4 MiB).
const MaxManifest = 4 << 20

// Media types of manifests.
const (
	TypeImage          = v1.MediaTypeImageManifest
	TypeIndex          = v1.MediaTypeImageIndex
	TypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	TypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	TypeArtifact       = "application/vnd.oci.artifact.manifest.v1+json"       // withdrawn draft, still kept by clients
	TypeORASArtifact   = "application/vnd.cncf.oras.artifact.manifest.v1+json" // its predecessor
	TypeOctets         = "application/octet-stream"
)

// Manifest is what a registry reads out of a manifest of any type it accepts.
// The bytes themselves stay what they were.
type Manifest struct {
	MediaType    string
	ArtifactType string // for referrers: the manifest's own, else an image manifest's config.mediaType
	Subject      *Descriptor
	Config       *Descriptor  // image manifests only
	Layers       []Descriptor // layers, or an artifact's blobs
	Manifests    []Descriptor // children of an index
	Annotations  map[string]string
}

// document is the union of the manifest types' members.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *Descriptor       `json:"config"`
	Layers        descriptors       `json:"layers"`
	Blobs         descriptors       `json:"blobs"`
	Manifests     descriptors       `json:"manifests"`
	Subject       *Descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// descriptors are read one by one until the first that is malformed: a list of a million nothings would else take a
// hundred times the memory of its text.
type descriptors []Descriptor

func (l *descriptors) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return err
	}
	if text[0] != '[' {
		return fault.New(fault.ManifestInvalid, "manifest has something else where a list of descriptors belongs")
	}
	*l = descriptors{}
	for dec.More() {
		var d Descriptor
		if err := dec.Decode(&d); err != nil {
			return err
		}
		if err := checkDescriptor(d); err != nil {
			return err
		}
		*l = append(*l, d)
	}
	return nil
}

// ParseManifest reads body as the type that contentType names (parameters are ignored) and checks what the
// distribution-spec has a registry check: JSON, schemaVersion, type, well-formed descriptors.
// Whether the content named exists is not looked at. Errors: MANIFEST_INVALID, DIGEST_INVALID.
func ParseManifest(contentType string, body []byte) (Manifest, error) {
	if len(body) > MaxManifest {
		return Manifest{}, fault.New(fault.ManifestTooLarge, "http: request body too large: a manifest has at most %d bytes", MaxManifest)
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return Manifest{}, fault.New(fault.ManifestInvalid, "content type %.100q is not a media type; send the manifest's", contentType)
	}
	var doc document
	if err := json.Unmarshal(body, &doc); errors.Is(err, fault.ManifestInvalid) {
		return Manifest{}, err
	} else if err != nil {
		return Manifest{}, fault.New(fault.ManifestInvalid, "manifest is not the JSON of a manifest: %w", err)
	}
	if doc.MediaType != "" && doc.MediaType != mediaType {
		return Manifest{}, fault.New(fault.ManifestInvalid, "manifest says mediaType %.100q, the request's Content-Type says %.100q", doc.MediaType, mediaType)
	}
	m := Manifest{MediaType: mediaType, ArtifactType: doc.ArtifactType, Subject: doc.Subject, Annotations: doc.Annotations}
	schema := true
	switch mediaType {
	case TypeImage, TypeDockerManifest:
		if doc.Config == nil {
			return Manifest{}, fault.New(fault.ManifestInvalid, "image manifest has no config")
		}
		if doc.Manifests != nil {
			return Manifest{}, fault.New(fault.ManifestInvalid, "image manifest has the member manifests, which belongs to an index")
		}
		m.Config, m.Layers = doc.Config, doc.Layers
		if m.ArtifactType == "" {
			m.ArtifactType = doc.Config.MediaType
		}
	case TypeIndex, TypeDockerList:
		if doc.Config != nil || doc.Layers != nil {
			return Manifest{}, fault.New(fault.ManifestInvalid, "index has config or layers, which belong to an image manifest")
		}
		m.Manifests = doc.Manifests
	case TypeArtifact, TypeORASArtifact:
		m.Layers, schema = doc.Blobs, false
	default:
		return Manifest{}, fault.New(fault.ManifestInvalid, "manifest type %.100q is not supported", mediaType)
	}
	if schema && doc.SchemaVersion != 2 {
		return Manifest{}, fault.New(fault.ManifestInvalid, "schemaVersion is %d, not 2", doc.SchemaVersion)
	}
	for _, d := range []*Descriptor{m.Config, m.Subject} {
		if d == nil {
			continue
		}
		if err := checkDescriptor(*d); err != nil {
			return Manifest{}, err
		}
	}
	return m, nil
}

func checkDescriptor(d Descriptor) error {
	if _, err := ParseDigest(string(d.Digest)); err != nil {
		return fault.New(fault.ManifestInvalid, "manifest names content by a bad digest: %w", err)
	}
	if d.Size < 0 {
		return fault.New(fault.ManifestInvalid, "manifest gives %s the size %d", d.Digest, d.Size)
	}
	return nil
}

func one(d *Descriptor) []Descriptor {
	if d == nil {
		return nil
	}
	return []Descriptor{*d}
}

// Blobs are the config and layers, those too that need not be in the registry.
func (m Manifest) Blobs() []Descriptor { return append(one(m.Config), m.Layers...) }

// Foreign tells whether a layer may live elsewhere, so that a registry does not ask for it:
// it has urls, or a media type that is not to be distributed.
func Foreign(d Descriptor) bool {
	return len(d.URLs) > 0 || strings.Contains(d.MediaType, ".nondistributable.") || strings.Contains(d.MediaType, ".foreign.")
}

// AsReferrer is the descriptor under which the manifest is listed with its subject
// (distribution-spec "Listing Referrers").
func (m Manifest) AsReferrer(d Digest, size int64) Descriptor {
	return Descriptor{MediaType: m.MediaType, Digest: d, Size: size, ArtifactType: m.ArtifactType, Annotations: m.Annotations}
}

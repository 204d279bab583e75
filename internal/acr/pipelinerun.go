package acr

import (
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// PipelineRun is the resource registries/pipelineRuns: one run of an export or import pipeline.
type PipelineRun struct {
	Name          string     `json:"name"`
	Pipeline      string     `json:"pipeline"` // the name
	Import        bool       `json:"import,omitempty"`
	Artifacts     []string   `json:"artifacts,omitempty"` // repository:tag or repository@digest
	Blob          string     `json:"blob,omitempty"`      // the source of an import, the target of an export
	CatalogDigest string     `json:"catalogDigest,omitempty"`
	ForceTag      string     `json:"forceTag,omitempty"` // another one runs it again
	StartedAt     time.Time  `json:"startedAt"`
	CreatedAt     time.Time  `json:"createdAt"`
	System        SystemData `json:"systemData,omitzero"`
	Provisioning
}

// Provisions tells how far the run is.
func (r *PipelineRun) Provisions() *Provisioning { return &r.Provisioning }

func (PipelineRun) ResourceType() string { return "registries/pipelineRuns" }

// MaxPipelineRuns bounds those that a registry keeps.
const MaxPipelineRuns = 10_000

// maxRunArtifacts bounds what one run carries.
const maxRunArtifacts = 50

// PipelineKind is the type of a run's pipeline.
func (r PipelineRun) PipelineKind() string {
	if r.Import {
		return "importPipelines"
	}
	return "exportPipelines"
}

// Validate checks the name, the blob and the artifacts.
func (r PipelineRun) Validate() error {
	what := "pipeline run " + r.Name
	if err := first(pipelineRunNames.check(r.Name), checkText(what+": forceUpdateTag", r.ForceTag)); err != nil {
		return err
	}
	if r.Blob == "" && r.CatalogDigest == "" || len(r.Blob) > maxText {
		part := "target"
		if r.Import {
			part = "source"
		}
		return fault.New(fault.Invalid, "%s: name the blob, of up to %d bytes, as the request's %s", what, maxText, part)
	}
	if r.CatalogDigest != "" {
		if _, err := oci.ParseDigest(r.CatalogDigest); err != nil {
			return fault.New(fault.Invalid, "%s: catalogDigest: %w", what, err)
		}
	}
	if !r.Import && len(r.Artifacts) == 0 {
		return fault.New(fault.Invalid, "%s: an export needs artifacts, as repository:tag or repository@digest", what)
	}
	for _, a := range r.Artifacts {
		if !artifact(a) {
			return fault.New(fault.Invalid, "%s: artifact %.300q is not valid: it looks like repository:tag or repository@digest", what, a)
		}
	}
	return checkCount(what+": artifacts", len(r.Artifacts), maxRunArtifacts)
}

func artifact(s string) bool {
	if repo, digest, ok := strings.Cut(s, "@"); ok {
		_, err := oci.ParseDigest(digest)
		return err == nil && oci.CheckName(repo) == nil
	}
	repo, tag, ok := strings.Cut(s, ":")
	return ok && oci.CheckName(repo) == nil && oci.CheckTag(tag) == nil
}

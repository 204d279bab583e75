package controlplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) pipelineRunRow() *row {
	runs := rowOf(document[acr.PipelineRun]{
		kind: f.opt.Resources.PipelineRuns, row: row{provider: arm.Provider, types: "registries/pipelineRuns"},
		encode: encodePipelineRun, decode: decodePipelineRun,
	})
	delete(runs.verbs, http.MethodPatch)
	return runs
}

type pipelineRunWire struct {
	Type       string                `json:"type"`
	ID         string                `json:"id"`
	Name       string                `json:"name"`
	SystemData *systemData           `json:"systemData,omitempty"`
	Properties pipelineRunProperties `json:"properties"`
}

type pipelineRunProperties struct {
	ProvisioningState string              `json:"provisioningState"`
	Request           pipelineRunRequest  `json:"request"`
	Response          pipelineRunResponse `json:"response"`
	ForceUpdateTag    string              `json:"forceUpdateTag,omitempty"`
}

type pipelineRunRequest struct {
	PipelineResourceID string           `json:"pipelineResourceId"`
	Artifacts          []string         `json:"artifacts"`
	Source             *storageBlobWire `json:"source,omitempty"`
	Target             *storageBlobWire `json:"target,omitempty"`
	CatalogDigest      string           `json:"catalogDigest,omitempty"`
}

type storageBlobWire struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// storageBlob is the only type of them.
const storageBlob = "AzureStorageBlob"

type pipelineRunResponse struct {
	Status            string   `json:"status"`
	ImportedArtifacts []string `json:"importedArtifacts"`
	Progress          struct {
		Percentage string `json:"percentage"`
	} `json:"progress"`
	StartTime    string `json:"startTime"`
	ErrorMessage string `json:"pipelineRunErrorMessage,omitempty"`
}

func encodePipelineRun(_ *call, kept resource.Kept[acr.PipelineRun]) any {
	r := kept.Doc
	out := pipelineRunWire{
		Type: arm.Provider + "/registries/pipelineRuns", ID: kept.ID.String(), Name: r.Name, SystemData: wireSystem(r.System),
		Properties: pipelineRunProperties{ProvisioningState: r.Shown(), ForceUpdateTag: r.ForceTag},
	}
	req := &out.Properties.Request
	req.PipelineResourceID, req.Artifacts, req.CatalogDigest = kept.In.ID.Child(r.PipelineKind(), r.Pipeline).String(), texts(r.Artifacts), r.CatalogDigest
	switch {
	case r.Blob != "" && r.Import:
		req.Source = &storageBlobWire{storageBlob, r.Blob}
	case r.Blob != "":
		req.Target = &storageBlobWire{storageBlob, r.Blob}
	}
	res := &out.Properties.Response
	res.Status, res.ImportedArtifacts, res.Progress.Percentage, res.StartTime = r.Shown(), []string{}, "0", wireTime(r.StartedAt)
	if r.Failure != nil {
		res.ErrorMessage = r.Failure.Message
	}
	return out
}

func decodePipelineRun(c *call, r *acr.PipelineRun, _ bool) error {
	var in struct {
		Properties struct {
			Request        pipelineRunRequest `json:"request"`
			ForceUpdateTag string             `json:"forceUpdateTag"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	req := in.Properties.Request
	pipeline, err := arm.ParseID(req.PipelineResourceID)
	if err != nil {
		return fault.New(fault.Invalid, "The request.pipelineResourceId of pipeline run %s: %w", c.path.ID().Name(), err)
	}
	r.Import = pipeline.Type() == "registries/importpipelines"
	if r.Pipeline, err = c.sibling("request.pipelineResourceId", req.PipelineResourceID, r.PipelineKind(), "export or import pipeline"); err != nil {
		return err
	}
	r.Artifacts, r.CatalogDigest, r.ForceTag, r.Blob = req.Artifacts, req.CatalogDigest, in.Properties.ForceUpdateTag, ""
	blob, other := req.Target, req.Source
	if r.Import {
		blob, other = req.Source, req.Target
	}
	if other != nil {
		return fault.New(fault.Invalid, "The pipeline run '%s' has a source and a target: the pipeline is one of them.", c.path.ID().Name())
	}
	if blob != nil {
		if blob.Type != "" && !strings.EqualFold(blob.Type, storageBlob) {
			return fault.New(fault.Invalid, "The blob of pipeline run '%s' has the type '%.60s': only %s is known.", c.path.ID().Name(), blob.Type, storageBlob)
		}
		r.Blob = blob.Name
	}
	return nil
}

package controlplane

import (
	"net/http"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) exportPipelineRow() *row {
	pipelines := rowOf(document[acr.ExportPipeline]{
		kind: f.opt.Resources.ExportPipelines, row: row{provider: arm.Provider, types: "registries/exportPipelines"},
		encode: encodeExportPipeline, decode: decodeExportPipeline,
	})
	delete(pipelines.verbs, http.MethodPatch)
	return pipelines
}

// pipelineWire is an export or an import pipeline.
type pipelineWire[P any] struct {
	Type       string        `json:"type"`
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	Location   string        `json:"location,omitempty"`
	Identity   *assignedWire `json:"identity,omitempty"`
	SystemData *systemData   `json:"systemData,omitempty"`
	Properties P             `json:"properties"`
}

type exportProperties struct {
	Target            containerWire `json:"target"`
	Options           []string      `json:"options"`
	ProvisioningState string        `json:"provisioningState"`
}

// containerWire is a container of a storage account.
type containerWire struct {
	Type              string `json:"type"`
	URI               string `json:"uri"`
	KeyVaultURI       string `json:"keyVaultUri,omitempty"`
	StorageAccessMode string `json:"storageAccessMode"`
}

func wireContainer(t acr.TransferContainer) containerWire {
	return containerWire{acr.TransferContainerType, t.URI, t.Secret, t.Access}
}

// container reads one; what is what it is of. Errors: fault.Invalid.
func (w containerWire) container(what string) (acr.TransferContainer, error) {
	if w.Type != "" && spelled(w.Type, acr.TransferContainerType) != acr.TransferContainerType {
		return acr.TransferContainer{}, fault.New(fault.Invalid, "The %s has the type '%.60s': only %s is known.", what, w.Type, acr.TransferContainerType)
	}
	access := spelled(w.StorageAccessMode, acr.AccessBySas, acr.AccessByIdentity)
	if access == "" {
		access = acr.AccessBySas
	}
	return acr.TransferContainer{URI: w.URI, Secret: w.KeyVaultURI, Access: access}, nil
}

// options are those of a pipeline as they are spelled.
func options(sent []string) []string {
	out := make([]string, len(sent))
	for i, o := range sent {
		out[i] = spelled(o, acr.OverwriteTags, acr.OverwriteBlobs, acr.DeleteSourceBlob, acr.ContinueOnErrors)
	}
	return out
}

func encodeExportPipeline(c *call, kept resource.Kept[acr.ExportPipeline]) any {
	p := kept.Doc
	return pipelineWire[exportProperties]{
		arm.Provider + "/registries/exportPipelines", kept.ID.String(), p.Name, p.Location, wireAssigned(c, p.Identity), wireSystem(p.System),
		exportProperties{wireContainer(p.Target), texts(p.Options), succeeded},
	}
}

func decodeExportPipeline(c *call, p *acr.ExportPipeline, _ bool) (err error) {
	var in struct {
		Location   string               `json:"location"`
		Identity   member[assignedBody] `json:"identity"`
		Properties struct {
			Target  member[containerWire] `json:"target"`
			Options []string              `json:"options"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if !in.Properties.Target.Set || in.Properties.Target.Null {
		return fault.New(fault.Invalid, "The export pipeline '%s' needs a target: a container of a storage account.", c.path.ID().Name())
	}
	p.Location, p.Options = in.Location, options(in.Properties.Options)
	if p.Target, err = in.Properties.Target.Value.container("target"); err != nil {
		return err
	}
	return assign(c, in.Identity, &p.Identity)
}

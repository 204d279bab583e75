package controlplane

import (
	"net/http"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) importPipelineRow() *row {
	pipelines := rowOf(document[acr.ImportPipeline]{
		kind: f.opt.Resources.ImportPipelines, row: row{provider: arm.Provider, types: "registries/importPipelines"},
		encode: encodeImportPipeline, decode: decodeImportPipeline,
	})
	delete(pipelines.verbs, http.MethodPatch)
	return pipelines
}

type importProperties struct {
	Source            containerWire       `json:"source"`
	Trigger           pipelineTriggerWire `json:"trigger"`
	Options           []string            `json:"options"`
	ProvisioningState string              `json:"provisioningState"`
}

type pipelineTriggerWire struct {
	SourceTrigger statusWire `json:"sourceTrigger"`
}

func encodeImportPipeline(c *call, kept resource.Kept[acr.ImportPipeline]) any {
	p := kept.Doc
	return pipelineWire[importProperties]{
		arm.Provider + "/registries/importPipelines", kept.ID.String(), p.Name, p.Location, wireAssigned(c, p.Identity), wireSystem(p.System),
		importProperties{wireContainer(p.Source), pipelineTriggerWire{statusWire{enabled(!p.TriggerOff)}}, texts(p.Options), succeeded},
	}
}

func decodeImportPipeline(c *call, p *acr.ImportPipeline, _ bool) (err error) {
	var in struct {
		Location   string               `json:"location"`
		Identity   member[assignedBody] `json:"identity"`
		Properties struct {
			Source  member[containerWire] `json:"source"`
			Options []string              `json:"options"`
			Trigger struct {
				SourceTrigger member[struct {
					Status member[string] `json:"status"`
				}] `json:"sourceTrigger"`
			} `json:"trigger"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if !in.Properties.Source.Set || in.Properties.Source.Null {
		return fault.New(fault.Invalid, "The import pipeline '%s' needs a source: a container of a storage account.", c.path.ID().Name())
	}
	p.Location, p.Options, p.TriggerOff = in.Location, options(in.Properties.Options), false
	if p.Source, err = in.Properties.Source.Value.container("source"); err != nil {
		return err
	}
	if trigger := in.Properties.Trigger.SourceTrigger; trigger.Set && !trigger.Null {
		trigger.Value.Status.Set, trigger.Value.Status.Null = true, false // it has one
		if err := choose(trigger.Value.Status, "trigger.sourceTrigger.status", "Enabled", "Disabled", &p.TriggerOff); err != nil {
			return err
		}
	}
	return assign(c, in.Identity, &p.Identity)
}

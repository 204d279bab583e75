package acr

import "time"

// ImportPipeline is the resource registries/importPipelines: a container of a storage account that artifacts are imported from.
type ImportPipeline struct {
	Name       string            `json:"name"`
	Location   string            `json:"location,omitempty"`
	Source     TransferContainer `json:"source"`
	TriggerOff bool              `json:"triggerOff,omitempty"` // blobs that appear in the container start no run
	Options    []string          `json:"options,omitempty"`
	Identity   AssignedIdentity  `json:"identity,omitzero"`
	CreatedAt  time.Time         `json:"createdAt"`
	System     SystemData        `json:"systemData,omitzero"`
}

func (ImportPipeline) ResourceType() string { return "registries/importPipelines" }

// Validate checks the name, the container, the options and the identity.
func (p ImportPipeline) Validate() error {
	what := "import pipeline " + p.Name
	return first(importPipelineNames.check(p.Name), p.Source.check(what, p.Identity), p.Identity.Check(what), checkPlace(p.Location),
		checkOptions(what, p.Options, OverwriteTags, OverwriteBlobs, DeleteSourceBlob, ContinueOnErrors))
}

package acr

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// ExportPipeline is the resource registries/exportPipelines: a container of a storage account that artifacts are exported to.
type ExportPipeline struct {
	Name      string            `json:"name"`
	Location  string            `json:"location,omitempty"`
	Target    TransferContainer `json:"target"`
	Options   []string          `json:"options,omitempty"`
	Identity  AssignedIdentity  `json:"identity,omitzero"`
	CreatedAt time.Time         `json:"createdAt"`
	System    SystemData        `json:"systemData,omitzero"`
}

func (ExportPipeline) ResourceType() string { return "registries/exportPipelines" }

// MaxPipelines bounds the export pipelines of a registry, and the import pipelines.
const MaxPipelines = 100

// TransferContainer is a container of a storage account, and how it is reached.
type TransferContainer struct {
	URI    string `json:"uri"`
	Secret string `json:"secret,omitempty"` // of a key vault: what holds the signature
	Access string `json:"access"`           // SasToken or ManagedIdentity
}

// TransferContainerType is the only type of them.
const TransferContainerType = "AzureStorageBlobContainer"

// Ways to reach a container.
const (
	AccessBySas      = "SasToken"
	AccessByIdentity = "ManagedIdentity"
)

func (t TransferContainer) check(what string, as AssignedIdentity) error {
	u, err := url.Parse(t.URI)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		strings.Trim(u.Path, "/") == "" || len(t.URI) > maxText {
		return fault.New(fault.Invalid, "%s: the uri %.200q is not that of a container, such as https://myaccount.blob.core.windows.net/mycontainer; signatures belong into a key vault", what, t.URI)
	}
	switch t.Access {
	case AccessBySas:
		return CheckSecretID(what+": keyVaultUri", t.Secret)
	case AccessByIdentity:
		if t.Secret != "" {
			return fault.New(fault.Invalid, "%s: storageAccessMode ManagedIdentity takes no keyVaultUri", what)
		}
		if as.Kind() == "None" {
			return fault.New(fault.Invalid, "%s: storageAccessMode ManagedIdentity needs an identity", what)
		}
		return nil
	}
	return fault.New(fault.Invalid, "%s: storageAccessMode %.40q is not SasToken or ManagedIdentity", what, t.Access)
}

// Options of pipelines.
const (
	OverwriteTags    = "OverwriteTags"
	OverwriteBlobs   = "OverwriteBlobs"
	DeleteSourceBlob = "DeleteSourceBlobOnSuccess"
	ContinueOnErrors = "ContinueOnErrors"
)

func checkOptions(what string, options []string, allowed ...string) error {
	for i, o := range options {
		if !slices.Contains(allowed, o) || slices.Contains(options[:i], o) {
			return fault.New(fault.Invalid, "%s: %s %.40q is not %s, each once", what, "option", o, strings.Join(allowed, ", "))
		}
	}
	return nil
}

// Validate checks the name, the container, the options and the identity.
func (p ExportPipeline) Validate() error {
	what := "export pipeline " + p.Name
	return first(exportPipelineNames.check(p.Name), p.Target.check(what, p.Identity), p.Identity.Check(what), checkPlace(p.Location),
		checkOptions(what, p.Options, OverwriteTags, OverwriteBlobs, DeleteSourceBlob, ContinueOnErrors))
}

// checkPlace is CheckLocation for what needs none.
func checkPlace(location string) error {
	if location == "" {
		return nil
	}
	return CheckLocation(location)
}

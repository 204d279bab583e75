package cli

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

var (
	exportPipelines = childKind{verb: "export-pipeline", path: "exportPipelines", word: "export pipeline", row: func(o object) any {
		return struct {
			Name  string `json:"NAME"`
			State string `json:"PROVISIONING_STATE"`
			URI   string `json:"STORAGE_ACCOUNT"`
		}{text(o, "name"), text(o, "provisioningState"), text(o, "target", "uri")}
	}}
	importPipelines = childKind{verb: "import-pipeline", path: "importPipelines", word: "import pipeline", row: func(o object) any {
		return struct {
			Name    string `json:"NAME"`
			State   string `json:"PROVISIONING_STATE"`
			URI     string `json:"STORAGE_ACCOUNT"`
			Trigger string `json:"SOURCE_TRIGGER"`
		}{text(o, "name"), text(o, "provisioningState"), text(o, "source", "uri"), text(o, "trigger", "sourceTrigger", "status")}
	}}
)

// pipelineSettings are the flags that both have.
type pipelineSettings struct {
	ofChild
	container, access, secret, identity string
	options                             []string
}

func (set *pipelineSettings) flags(cmd *cobra.Command, options string) {
	set.ofChild.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&set.container, "storage-container-uri", "c", "", "container of a storage account, as https://account.blob.core.windows.net/container")
	f.StringVarP(&set.access, "storage-access-mode", "m", "", "how it is reached: ManagedIdentity or SasToken")
	f.StringVarP(&set.secret, "secret-uri", "s", "", "identifier of the key vault's secret that holds the SAS token")
	f.StringVarP(&set.identity, "assign-identity", "i", "", "resource ID of a managed identity; without it, or as [system], it gets one of its own")
	f.VarP(words{&set.options}, "options", "z", options)
}

// body is a pipeline to or from a container; part is source or target.
func (set *pipelineSettings) body(part string) (object, object, error) {
	switch {
	case set.container == "":
		return nil, nil, fault.New(fault.Invalid, "which container? Give --storage-container-uri")
	case strings.EqualFold(set.access, "SasToken") && set.secret == "":
		return nil, nil, fault.New(fault.Invalid, "--storage-access-mode SasToken needs --secret-uri")
	case strings.EqualFold(set.access, "ManagedIdentity") && set.secret != "":
		return nil, nil, fault.New(fault.Invalid, "--storage-access-mode ManagedIdentity takes no --secret-uri")
	case set.access == "":
		return nil, nil, fault.New(fault.Invalid, "how is the container reached? Give --storage-access-mode SasToken or ManagedIdentity")
	}
	container := object{"type": "AzureStorageBlobContainer", "uri": strings.ToLower(set.container), "storageAccessMode": set.access}
	if set.secret != "" {
		container["keyVaultUri"] = strings.ToLower(set.secret)
	}
	identity := object{"type": "SystemAssigned"}
	if set.identity != "" && set.identity != "[system]" {
		identity = userAssigned(set.identity)
	}
	properties := object{part: container, "options": append([]string{}, set.options...)}
	return object{"identity": identity, "properties": properties}, properties, nil
}

func (a *app) exportPipelineCommand() *cobra.Command {
	cmd := group("export-pipeline", "Where artifacts are exported to", "Export pipelines: containers of storage accounts that artifacts are exported to. They are kept; transfer is not available in this version.")
	cmd.AddCommand(exportPipelines.commands(a)...)
	set := pipelineSettings{ofChild: ofChild{kind: exportPipelines}}
	create := &cobra.Command{
		Use: "create", Short: "Create an export pipeline", Args: noArgs,
		Example: "  acre export-pipeline create -r mainreg -n export1 -c https://account.blob.core.windows.net/transfer -m ManagedIdentity --options OverwriteBlobs",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			body, _, err := set.body("target")
			if err != nil {
				return err
			}
			return set.put(ctx, p, http.MethodPut, body)
		}),
	}
	set.flags(create, "OverwriteBlobs, ContinueOnErrors")
	cmd.AddCommand(create)
	return cmd
}

func (a *app) importPipelineCommand() *cobra.Command {
	cmd := group("import-pipeline", "Where artifacts are imported from", "Import pipelines: containers of storage accounts that artifacts are imported from. They are kept; transfer is not available in this version.")
	cmd.AddCommand(importPipelines.commands(a)...)
	set := pipelineSettings{ofChild: ofChild{kind: importPipelines}}
	var trigger *bool
	create := &cobra.Command{
		Use: "create", Short: "Create an import pipeline", Args: noArgs,
		Example: "  acre import-pipeline create -r mainreg -n import1 -c https://account.blob.core.windows.net/transfer -m ManagedIdentity --source-trigger-enabled false",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			body, properties, err := set.body("source")
			if err != nil {
				return err
			}
			status := "Enabled"
			if i := slices.Index(set.options, "DisableSourceTrigger"); i >= 0 {
				status, properties["options"] = "Disabled", append(append([]string{}, set.options[:i]...), set.options[i+1:]...)
			}
			if trigger != nil && !*trigger {
				status = "Disabled"
			}
			properties["trigger"] = object{"sourceTrigger": object{"status": status}}
			return set.put(ctx, p, http.MethodPut, body)
		}),
	}
	set.flags(create, "DeleteSourceBlobOnSuccess, OverwriteTags, ContinueOnErrors, DisableSourceTrigger")
	create.Flags().VarP(truth{&trigger}, "source-trigger-enabled", "e", "whether a blob that appears in the container starts a run (default true)")
	create.Flags().Lookup("source-trigger-enabled").NoOptDefVal = "true"
	cmd.AddCommand(create)
	return cmd
}

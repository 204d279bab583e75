package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

var pipelineRuns = childKind{verb: "pipeline-run", path: "pipelineRuns", word: "pipeline run", row: func(o object) any {
	start, _, _ := strings.Cut(text(o, "response", "startTime"), ".")
	return struct {
		Name     string `json:"NAME"`
		Pipeline string `json:"PIPELINE"`
		Start    string `json:"START_TIME"`
		Status   string `json:"STATUS"`
		Error    string `json:"ERROR_MESSAGE"`
	}{text(o, "name"), lastPart(text(o, "request", "pipelineResourceId")), start, text(o, "response", "status"), text(o, "response", "pipelineRunErrorMessage")}
}}

func (a *app) pipelineRunCommand() *cobra.Command {
	cmd := group("pipeline-run", "Runs of export and import pipelines", "Runs of export and import pipelines. Transfer is not available in this version: a run fails, and says so.")
	cmd.AddCommand(pipelineRuns.show(a), pipelineRuns.delete(a), a.pipelineRunList(), a.pipelineRunCreate(), a.pipelineRunClean())
	return cmd
}

func (a *app) pipelineRunCreate() *cobra.Command {
	of := ofChild{kind: pipelineRuns}
	var pipeline, kind, blob string
	var artifacts []string
	var again bool
	cmd := &cobra.Command{
		Use: "create", Short: "Run a pipeline", Args: noArgs, Example: "  acre pipeline-run create -r mainreg -n run01 -p export1 -t export -b monday -a app:v1 base/runtime@sha256:…",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, reg, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			properties, err := runRequest(reg, kind, pipeline, blob, artifacts)
			if err != nil {
				return err
			}
			if again {
				properties["forceUpdateTag"] = time.Now().UTC().Format(time.RFC3339Nano)
			}
			got, err := p.ask(ctx, http.MethodPut, id, registryVersion, object{"properties": properties})
			if err != nil {
				return err
			}
			if text(got, "provisioningState") == "Failed" { // before it was answered
				return fault.New(fault.Conflict, "%s: %s", of.name, text(got, "response", "pipelineRunErrorMessage"))
			}
			return pipelineRuns.print(a, got)
		}),
	}
	of.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&pipeline, "pipeline", "p", "", "pipeline to run")
	f.StringVarP(&kind, "pipeline-type", "t", "", "import or export")
	f.StringVarP(&blob, "storage-blob", "b", "", "blob that is imported, or exported to")
	f.VarP(words{&artifacts}, "artifacts", "a", "what is exported: repository:tag or repository@digest")
	f.BoolVarP(&again, "force-redeploy", "f", false, "run again, though nothing changed")
	return cmd
}

// runRequest is what a run is asked for with. A repository alone stands for its tag latest.
func runRequest(reg, kind, pipeline, blob string, artifacts []string) (object, error) {
	if err := childName("pipeline", pipeline); err != nil {
		return nil, err
	}
	request := object{}
	switch kind {
	case "import":
		request["pipelineResourceId"], request["source"] = reg+"/importPipelines/"+pipeline, object{"type": "AzureStorageBlob", "name": blob}
	case "export":
		list := []string{}
		for _, s := range artifacts {
			if !strings.ContainsAny(s, ":@") {
				s += ":latest"
			}
			list = append(list, s)
		}
		request["pipelineResourceId"], request["target"], request["artifacts"] = reg+"/exportPipelines/"+pipeline, object{"type": "AzureStorageBlob", "name": blob}, list
	default:
		return nil, fault.New(fault.Invalid, "--pipeline-type is import or export, not %q", kind)
	}
	if blob == "" {
		return nil, fault.New(fault.Invalid, "which blob? Give --storage-blob")
	}
	return object{"request": request}, nil
}

func (a *app) pipelineRunList() *cobra.Command {
	var of ofRegistry
	var top int
	cmd := &cobra.Command{
		Use: "list", Short: "List pipeline runs", Args: noArgs, Example: "  acre pipeline-run list -r mainreg --top 5 -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if top < 0 {
				return fault.New(fault.Invalid, "--top is a number of 1 or more, not %d", top)
			}
			all, err := p.pipelineRuns(ctx, of)
			if err != nil {
				return err
			}
			if top > 0 {
				slices.SortStableFunc(all, func(x, y object) int {
					return strings.Compare(text(y, "response", "startTime"), text(x, "response", "startTime"))
				})
				all = all[:min(top, len(all))]
			}
			return show(a, all, pipelineRuns.row)
		}),
	}
	of.flags(cmd, "registry", "r")
	cmd.Flags().IntVar(&top, "top", 0, "only so many, the latest first")
	return cmd
}

func (p *plane) pipelineRuns(ctx context.Context, of ofRegistry) ([]object, error) {
	reg, err := p.registryID(ctx, of)
	if err != nil {
		return nil, err
	}
	return p.listOf(ctx, reg+"/pipelineRuns", registryVersion)
}

func (a *app) pipelineRunClean() *cobra.Command {
	var of ofRegistry
	var dry, yes bool
	cmd := &cobra.Command{
		Use: "clean", Short: "Delete the pipeline runs that failed", Args: noArgs, Example: "  acre pipeline-run clean -r mainreg --dry-run",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			all, err := p.pipelineRuns(ctx, of)
			if err != nil {
				return err
			}
			failed := slices.DeleteFunc(all, func(o object) bool { return text(o, "provisioningState") != "Failed" })
			if dry {
				return show(a, failed, pipelineRuns.row)
			}
			if err := a.sure(yes || len(failed) == 0, fmt.Sprintf("Delete %d pipeline runs that failed?", len(failed))); err != nil {
				return err
			}
			for _, o := range failed {
				if err := p.remove(ctx, text(o, "id"), registryVersion); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	of.flags(cmd, "registry", "r")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show which")
	yesFlag(cmd, &yes)
	return cmd
}

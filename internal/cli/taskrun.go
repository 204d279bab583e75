package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) taskRunCommand() *cobra.Command {
	cmd := group("taskrun", "Runs that are asked for by writing a resource", "")
	cmd.AddCommand(a.taskRunShow(), a.taskRunList(), a.taskRunDelete(), a.taskRunLogs())
	return cmd
}

// ofTaskRun is how a verb is told which task run.
type ofTaskRun struct {
	ofRegistry
	name string
}

func (of *ofTaskRun) flags(cmd *cobra.Command) {
	of.ofRegistry.flags(cmd, "registry", "r")
	cmd.Flags().StringVarP(&of.name, "name", "n", "", "task run")
}

// id is the task run's resource ID.
func (of *ofTaskRun) id(ctx context.Context, p *plane) (string, error) {
	if err := childName("name", of.name); err != nil {
		return "", err
	}
	reg, err := p.registryID(ctx, of.ofRegistry)
	return reg + "/taskRuns/" + of.name, err
}

func taskRunRow(o object) any {
	run, _ := o["runResult"].(object)
	return struct {
		Name     string `json:"NAME"`
		Run      string `json:"RUN ID"`
		Task     string `json:"TASK"`
		Platform string `json:"PLATFORM"`
		Status   string `json:"STATUS"`
		Started  string `json:"STARTED"`
		Duration string `json:"DURATION"`
	}{text(o, "name"), text(run, "runId"), text(run, "task"), text(run, "platform", "os"), text(run, "status"), moment(text(run, "startTime")),
		lasted(text(run, "startTime"), text(run, "finishTime"))}
}

func (a *app) taskRunShow() *cobra.Command {
	var of ofTaskRun
	cmd := &cobra.Command{
		Use: "show", Short: "Show a task run", Args: noArgs, Example: "  acre taskrun show -r mainreg -n release",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, taskVersion)
			if err != nil {
				return err
			}
			return showOne(a, got, taskRunRow)
		}),
	}
	of.flags(cmd)
	return cmd
}

func (a *app) taskRunList() *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "list", Short: "List the task runs of a registry", Args: noArgs, Example: "  acre taskrun list -r mainreg -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			reg, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			all, err := p.listOf(ctx, reg+"/taskRuns", taskVersion)
			if err != nil {
				return err
			}
			return show(a, all, taskRunRow)
		}),
	}
	of.flags(cmd, "registry", "r")
	return cmd
}

func (a *app) taskRunDelete() *cobra.Command {
	var of ofTaskRun
	var yes bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a task run", Args: noArgs, Example: "  acre taskrun delete -r mainreg -n release --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Delete the task run %s?", of.name)); err != nil {
				return err
			}
			return p.remove(ctx, id, taskVersion)
		}),
	}
	of.flags(cmd)
	yesFlag(cmd, &yes)
	return cmd
}

func (a *app) taskRunLogs() *cobra.Command {
	var of ofTaskRun
	cmd := &cobra.Command{
		Use: "logs", Short: "Show where the log of a task run is read", Args: noArgs, Example: "  acre taskrun logs -r mainreg -n release",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, taskVersion)
			if err != nil {
				return err
			}
			run := text(got, "runResult", "runId")
			if run == "" {
				return fault.New(fault.NotFound, "the task run %s has no run, and so no log: its state is %s", of.name, text(got, "provisioningState"))
			}
			return p.printLog(ctx, id[:strings.LastIndex(id, "/taskRuns/")]+"/runs/"+run)
		}),
	}
	of.flags(cmd)
	noFormatFlag(cmd)
	return cmd
}

package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

// taskVersion of the management API is asked for tasks and what belongs to them.
const taskVersion = "2025-03-01-preview"

func (a *app) taskCommand() *cobra.Command {
	cmd := group("task", "What is to be built or run in a registry, and what starts it", `Tasks of a registry: a step that builds an image or runs commands, and the triggers that start it: a timer, a push to a
Git repository, a base image that changes.

This version keeps tasks, and runs none: task run, build, run and pack build say so.`)
	cmd.AddCommand(a.taskCreate(), a.taskUpdate(), a.taskShow(), a.taskList(), a.taskDelete(), a.taskIdentityCommand(), a.taskCredentialCommand(),
		a.taskTimerCommand(), a.taskRun(), a.runList(), a.runShow(), a.runCancel(), a.runUpdate(), a.runLogs())
	return cmd
}

// ofTask is how a verb is told which task.
type ofTask struct {
	ofRegistry
	name string
}

func (of *ofTask) flags(cmd *cobra.Command) {
	of.ofRegistry.flags(cmd, "registry", "r")
	cmd.Flags().StringVarP(&of.name, "name", "n", "", "task")
}

// id is the task's resource ID.
func (of *ofTask) id(ctx context.Context, p *plane) (string, error) {
	if err := childName("name", of.name); err != nil {
		return "", err
	}
	reg, err := p.registryID(ctx, of.ofRegistry)
	return reg + "/tasks/" + of.name, err
}

// taskRow has the columns of az's table.
func taskRow(o object) any {
	return struct {
		Name     string `json:"NAME"`
		Platform string `json:"PLATFORM"`
		Status   string `json:"STATUS"`
		Source   string `json:"SOURCE REPOSITORY"`
		Triggers string `json:"TRIGGERS"`
	}{text(o, "name"), text(o, "platform", "os"), text(o, "status"), text(o, "step", "contextPath"), strings.Join(enabledTriggers(o), ", ")}
}

// enabledTriggers are the kinds of triggers of a task that start it.
func enabledTriggers(o object) []string {
	var out []string
	if strings.EqualFold(text(o, "trigger", "baseImageTrigger", "status"), "enabled") {
		out = append(out, "BASE_IMAGE")
	}
	for _, kind := range []struct{ list, word string }{{"sourceTriggers", "SOURCE"}, {"timerTriggers", "TIMER"}} {
		if slices.ContainsFunc(objects(member(o, "trigger", kind.list)), func(t object) bool { return strings.EqualFold(text(t, "status"), "enabled") }) {
			out = append(out, kind.word)
		}
	}
	return out
}

// taskDetails reads a task with its secrets, and its ID.
func (of *ofTask) taskDetails(ctx context.Context, p *plane) (task object, id string, err error) {
	if id, err = of.id(ctx, p); err != nil {
		return nil, "", err
	}
	task, err = p.ask(ctx, "POST", id+"/listDetails", taskVersion, nil)
	return task, id, err
}

func (a *app) taskShow() *cobra.Command {
	var of ofTask
	var secure bool
	cmd := &cobra.Command{
		Use: "show", Short: "Show a task", Args: noArgs, Example: "  acre task show -r mainreg -n nightly\n  acre task show -r mainreg -n nightly --with-secure-properties --query step.values",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			ask := func() (object, error) { return p.get(ctx, id, taskVersion) }
			if secure {
				ask = func() (object, error) { return p.ask(ctx, "POST", id+"/listDetails", taskVersion, nil) }
			}
			got, err := ask()
			if err != nil {
				return err
			}
			return showOne(a, got, taskRow)
		}),
	}
	of.flags(cmd)
	cmd.Flags().BoolVar(&secure, "with-secure-properties", false, "show its secrets too")
	return cmd
}

func (a *app) taskList() *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "list", Short: "List the tasks of a registry", Args: noArgs, Example: "  acre task list -r mainreg -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			reg, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			all, err := p.listOf(ctx, reg+"/tasks", taskVersion)
			if err != nil {
				return err
			}
			return show(a, all, taskRow)
		}),
	}
	of.flags(cmd, "registry", "r")
	return cmd
}

func (a *app) taskDelete() *cobra.Command {
	var of ofTask
	var yes bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a task", Args: noArgs, Example: "  acre task delete -r mainreg -n nightly --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Delete the task %s?", of.name)); err != nil {
				return err
			}
			return p.remove(ctx, id, taskVersion)
		}),
	}
	of.flags(cmd)
	yesFlag(cmd, &yes)
	return cmd
}

// platformOf reads os[/architecture[/variant]].
func platformOf(s string) (object, error) {
	parts := strings.Split(cmp.Or(s, "linux"), "/")
	if len(parts) > 3 || slices.Contains(parts, "") {
		return nil, fault.New(fault.Invalid, "--platform %q is no platform: write it like linux, linux/arm64 or linux/arm/v7", s)
	}
	out := object{"os": strings.ToLower(parts[0]), "architecture": "amd64"}
	for i, name := range []string{"os", "architecture", "variant"} {
		if i < len(parts) {
			out[name] = strings.ToLower(parts[i])
		}
	}
	return out, nil
}

// valueFlags are build arguments or template values, as name=value.
type valueFlags struct {
	plain, secret []string
	fromEnv       bool // a name alone has the value that the environment gives it
}

func (v valueFlags) set() bool { return len(v.plain)+len(v.secret) > 0 }

func (v valueFlags) objects(a *app) []object {
	out := []object{}
	for i, list := range [][]string{v.plain, v.secret} {
		for _, s := range list {
			name, value, found := strings.Cut(s, "=")
			if !found && v.fromEnv {
				value = a.Getenv(name)
			}
			out = append(out, object{"name": name, "value": value, "isSecret": i == 1})
		}
	}
	return out
}

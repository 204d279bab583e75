package cli

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) taskTimerCommand() *cobra.Command {
	cmd := group("timer", "When a task starts by itself", "Timers of a task: five fields, minute, hour, day of the month, month and day of the week, in UTC. Both kinds of days must match.")
	cmd.AddCommand(a.taskTimerChange("add"), a.taskTimerChange("update"), a.taskTimerRemove(), a.taskTimerList())
	return cmd
}

// taskTimerChange is add or update.
func (a *app) taskTimerChange(verb string) *cobra.Command {
	var of ofTask
	var name, schedule string
	var enabled *bool
	short := map[string]string{"add": "Add a timer to a task", "update": "Change a timer of a task"}[verb]
	cmd := &cobra.Command{
		Use: verb, Short: short, Args: noArgs, Example: "  acre task timer " + verb + " -r mainreg -n build --timer-name noon --schedule '0 12 * * *'",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if name == "" || verb == "add" && schedule == "" {
				return fault.New(fault.Invalid, "which timer, and when? Give --timer-name and --schedule")
			}
			task, id, err := of.taskDetails(ctx, p)
			if err != nil {
				return err
			}
			if there := timerIn(task, name) != nil; there != (verb == "update") {
				return fault.New(fault.Invalid, "task %s %s: acre task timer list shows which there are", of.name, map[bool]string{true: "has a timer " + name + " already", false: "has no timer " + name}[there])
			}
			timer := given(object{"name": name, "schedule": schedule})
			switch {
			case enabled != nil:
				timer["status"] = switched(*enabled)
			case verb == "add":
				timer["status"] = switched(true)
			}
			got, err := p.ask(ctx, http.MethodPatch, id, taskVersion, object{"properties": object{"trigger": object{"timerTriggers": []object{timer}}}})
			if err != nil {
				return err
			}
			return showOne(a, got, taskRow)
		}),
	}
	of.flags(cmd)
	timerNameFlag(cmd, &name)
	cmd.Flags().StringVar(&schedule, "schedule", "", "when, such as '0 12 * * Mon-Fri'")
	truthFlag(cmd, &enabled, "enabled", "whether it starts the task (default true)")
	return cmd
}

func timerNameFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "timer-name", "", "timer")
}

func timerIn(task object, name string) object {
	for _, t := range objects(member(task, "trigger", "timerTriggers")) {
		if strings.EqualFold(text(t, "name"), name) {
			return t
		}
	}
	return nil
}

func (a *app) taskTimerRemove() *cobra.Command {
	var of ofTask
	var name string
	cmd := &cobra.Command{
		Use: "remove", Short: "Remove a timer of a task", Args: noArgs, Example: "  acre task timer remove -r mainreg -n build --timer-name noon",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			// A part of a task cannot be taken away by changing it: it is written whole, with its secrets.
			var task object
			if err := p.call(ctx, forManagement, http.MethodPost, withVersion(id+"/listDetails", taskVersion), nil, &task); err != nil {
				return err
			}
			trigger, _ := member(task, "properties", "trigger").(object)
			timers := objects(trigger["timerTriggers"])
			kept := slices.DeleteFunc(slices.Clone(timers), func(t object) bool { return strings.EqualFold(text(t, "name"), name) })
			if len(kept) == len(timers) {
				return fault.New(fault.NotFound, "task %s has no timer %q; acre task timer list shows which there are", of.name, name)
			}
			trigger["timerTriggers"] = kept
			got, err := p.ask(ctx, http.MethodPut, id, taskVersion, task)
			if err != nil {
				return err
			}
			return showOne(a, got, taskRow)
		}),
	}
	of.flags(cmd)
	timerNameFlag(cmd, &name)
	return cmd
}

func (a *app) taskTimerList() *cobra.Command {
	var of ofTask
	cmd := &cobra.Command{
		Use: "list", Short: "List the timers of a task", Args: noArgs, Example: "  acre task timer list -r mainreg -n build -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			task, _, err := of.taskDetails(ctx, p)
			if err != nil {
				return err
			}
			return a.print(objects(member(task, "trigger", "timerTriggers")))
		}),
	}
	of.flags(cmd)
	return cmd
}

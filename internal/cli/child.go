package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// childKind is a type of resources that lie in a registry, as verbs show, list and delete speak of it.
type childKind struct {
	verb   string // acre VERB show
	path   string // the type's last part
	word   string // what one is called
	row    func(object) any
	losing string // what its removal means; "" is not asked, as az does not
}

// ofChild is how a verb is told which one.
type ofChild struct {
	ofRegistry
	kind childKind
	name string
}

func (of *ofChild) flags(cmd *cobra.Command) {
	of.ofRegistry.flags(cmd, "registry", "r")
	cmd.Flags().StringVarP(&of.name, "name", "n", "", of.kind.word)
}

// id is the resource's ID, and that of its registry.
func (of *ofChild) id(ctx context.Context, p *plane) (id, reg string, err error) {
	if err := childName("name", of.name); err != nil {
		return "", "", err
	}
	reg, err = p.registryID(ctx, of.ofRegistry)
	return reg + "/" + of.kind.path + "/" + of.name, reg, err
}

// print shows one of them.
func (k childKind) print(a *app, o object) error {
	if k.row == nil {
		return a.print(o)
	}
	return showOne(a, o, k.row)
}

// commands are the verbs that all of them have.
func (k childKind) commands(a *app) []*cobra.Command {
	return []*cobra.Command{k.show(a), k.list(a), k.delete(a)}
}

func (k childKind) show(a *app) *cobra.Command {
	of := ofChild{kind: k}
	cmd := &cobra.Command{
		Use: "show", Short: "Show a " + k.word, Args: noArgs, Example: fmt.Sprintf("  acre %s show -r mainreg -n NAME", k.verb),
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			return k.print(a, got)
		}),
	}
	of.flags(cmd)
	return cmd
}

func (k childKind) list(a *app) *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "list", Short: "List each " + k.word + " of a registry", Args: noArgs, Example: fmt.Sprintf("  acre %s list -r mainreg -o table", k.verb),
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			reg, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			all, err := p.listOf(ctx, reg+"/"+k.path, registryVersion)
			if err != nil {
				return err
			}
			if k.row == nil {
				return a.print(all)
			}
			return show(a, all, k.row)
		}),
	}
	of.flags(cmd, "registry", "r")
	return cmd
}

func (k childKind) delete(a *app) *cobra.Command {
	of := ofChild{kind: k}
	var yes bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a " + k.word, Args: noArgs, Example: fmt.Sprintf("  acre %s delete -r mainreg -n NAME", k.verb),
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			if err := a.sure(yes || k.losing == "", fmt.Sprintf("Delete the %s %s? %s", k.word, of.name, k.losing)); err != nil {
				return err
			}
			return p.remove(ctx, id, registryVersion)
		}),
	}
	of.flags(cmd)
	if k.losing != "" {
		yesFlag(cmd, &yes)
	}
	return cmd
}

// act asks for an action on one of them, and shows the answer.
func (k childKind) act(a *app, use, short, action string, row func(object) any) *cobra.Command {
	of := ofChild{kind: k}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noArgs, Example: fmt.Sprintf("  acre %s %s -r mainreg -n NAME", k.verb, use),
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.ask(ctx, http.MethodPost, id+"/"+action, registryVersion, nil)
			if err != nil || got == nil {
				return err
			}
			return showOne(a, got, row)
		}),
	}
	of.flags(cmd)
	return cmd
}

// put writes one of them and shows it.
func (of *ofChild) put(ctx context.Context, p *plane, method string, body object) error {
	id, _, err := of.id(ctx, p)
	if err != nil {
		return err
	}
	got, err := p.ask(ctx, method, id, registryVersion, body)
	if err != nil {
		return err
	}
	return of.kind.print(p.app, got)
}

// locationOf is a region that was given, or that of the registry.
func (p *plane) locationOf(ctx context.Context, reg, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	home, err := p.get(ctx, reg, registryVersion)
	return text(home, "location"), err
}

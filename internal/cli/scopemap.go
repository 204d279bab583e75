package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

const actionsUsage = "a repository, a prefix/* or *, and what may be done there: content/read content/write content/delete metadata/read metadata/write; may repeat"

const gatewayUsage = "a connected registry, and what may be done there: config/read config/write message/read message/write; may repeat"

func (a *app) scopeMapCommand() *cobra.Command {
	cmd := group("scope-map", "Named lists of what tokens may do", `What a registry's tokens may do, as named lists of actions on repositories.

Each registry has _repositories_pull, _repositories_pull_metadata_read, _repositories_push, _repositories_push_metadata_write
and _repositories_admin, which cannot be changed.`)
	cmd.AddCommand(a.scopeMapCreate(), a.scopeMapUpdate(), a.scopeMapShow(), a.scopeMapList(), a.scopeMapDelete())
	return cmd
}

// ofScopeMap is how a verb is told which scope map.
type ofScopeMap struct {
	ofRegistry
	name string
}

func (of *ofScopeMap) flags(cmd *cobra.Command) {
	of.ofRegistry.flags(cmd, "registry", "r")
	cmd.Flags().StringVarP(&of.name, "name", "n", "", "scope map")
}

// id is the scope map's resource ID.
func (of *ofScopeMap) id(ctx context.Context, p *plane) (string, error) {
	if err := childName("name", of.name); err != nil {
		return "", err
	}
	reg, err := p.registryID(ctx, of.ofRegistry)
	return reg + "/scopeMaps/" + of.name, err
}

func scopeMapRow(o object) any {
	description := text(o, "description")
	if len(description) > 57 {
		description = description[:57] + "..."
	}
	return struct {
		Name        string `json:"NAME"`
		Type        string `json:"TYPE"`
		Created     string `json:"CREATION DATE"`
		Description string `json:"DESCRIPTION"`
	}{text(o, "name"), text(o, "scopeMapType"), moment(text(o, "creationDate")), description}
}

func (a *app) scopeMapCreate() *cobra.Command {
	var of ofScopeMap
	var repositories, gateways [][]string
	var description string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a scope map", Args: noArgs,
		Example: "  acre scope-map create -r mainreg -n readers --repository 'library/*' content/read metadata/read",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			actions, err := scopeActions(repositories, gateways)
			if err != nil {
				return err
			}
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.putScopeMap(ctx, id, actions, description)
			if err != nil {
				return err
			}
			return showOne(a, got, scopeMapRow)
		}),
	}
	of.flags(cmd)
	cmd.Flags().Var(wordLists{&repositories}, "repository", actionsUsage)
	cmd.Flags().Var(wordLists{&gateways}, "gateway", gatewayUsage)
	cmd.Flags().StringVar(&description, "description", "", "what it is for, at most 256 characters")
	return cmd
}

func (p *plane) putScopeMap(ctx context.Context, id string, actions []string, description string) (object, error) {
	properties := object{"actions": actions}
	if description != "" {
		properties["description"] = description
	}
	return p.ask(ctx, http.MethodPut, id, registryVersion, object{"properties": properties})
}

// scopeMapOfToken makes the scope map of a token that was created with repositories; one that is there already with
// the same actions does as well.
func (p *plane) scopeMapOfToken(ctx context.Context, id, token string, actions []string) (made bool, err error) {
	got, err := p.get(ctx, id, registryVersion)
	switch {
	case errors.Is(err, fault.NotFound):
		_, err = p.putScopeMap(ctx, id, actions, "Created by token: "+token)
		return err == nil, err
	case err != nil:
		return false, err
	}
	have, want := texts(got["actions"]), slices.Clone(actions)
	slices.Sort(have)
	slices.Sort(want)
	if slices.Equal(have, want) {
		return false, nil
	}
	return false, fault.New(fault.Conflict, "the scope map %s is there already with other actions: change it with acre scope-map update -n %s, or give --scope-map", lastPart(id), lastPart(id))
}

// texts are the strings of a list.
func texts(v any) []string {
	list, _ := v.([]any)
	out := []string{}
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (a *app) scopeMapUpdate() *cobra.Command {
	var of ofScopeMap
	var addRepositories, removeRepositories, addGateways, removeGateways [][]string
	var description string
	cmd := &cobra.Command{
		Use: "update", Short: "Change what a scope map allows", Args: noArgs,
		Long:    "Add actions to a scope map, or take them away. Tokens that use it may do what it says within two seconds.",
		Example: "  acre scope-map update -r mainreg -n readers --add-repository app content/read --remove-repository old content/read metadata/read",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			add, err := scopeActions(addRepositories, addGateways)
			if err != nil {
				return err
			}
			remove, err := scopeActions(removeRepositories, removeGateways)
			if err != nil {
				return err
			}
			if len(add)+len(remove) == 0 && description == "" {
				return fault.New(fault.Invalid, "what is to change? Give --add-repository, --remove-repository or --description")
			}
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.changeScopeMap(ctx, id, add, remove, description)
			if err != nil {
				return err
			}
			return showOne(a, got, scopeMapRow)
		}),
	}
	of.flags(cmd)
	f := cmd.Flags()
	f.Var(wordLists{&addRepositories}, "add-repository", "add: "+actionsUsage)
	f.Var(wordLists{&removeRepositories}, "remove-repository", "take away: "+actionsUsage)
	f.Var(wordLists{&addGateways}, "add-gateway", "add: "+gatewayUsage)
	f.Var(wordLists{&removeGateways}, "remove-gateway", "take away: "+gatewayUsage)
	f.StringVar(&description, "description", "", "what it is for, at most 256 characters")
	return cmd
}

func (p *plane) changeScopeMap(ctx context.Context, id string, add, remove []string, description string) (object, error) {
	for _, action := range add {
		if slices.Contains(remove, action) {
			return nil, fault.New(fault.Invalid, "%s is both to be added and to be taken away", strings.TrimPrefix(action, "repositories/"))
		}
	}
	got, err := p.get(ctx, id, registryVersion)
	if err != nil {
		return nil, err
	}
	actions := slices.DeleteFunc(texts(got["actions"]), func(s string) bool { return slices.Contains(remove, s) })
	for _, action := range add {
		if !slices.Contains(actions, action) {
			actions = append(actions, action)
		}
	}
	properties := object{"actions": actions}
	if description != "" {
		properties["description"] = description
	}
	return p.ask(ctx, http.MethodPatch, id, registryVersion, object{"properties": properties})
}

func (a *app) scopeMapShow() *cobra.Command {
	var of ofScopeMap
	cmd := &cobra.Command{
		Use: "show", Short: "Show a scope map", Args: noArgs, Example: "  acre scope-map show -r mainreg -n readers --query actions",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			return showOne(a, got, scopeMapRow)
		}),
	}
	of.flags(cmd)
	return cmd
}

func (a *app) scopeMapList() *cobra.Command {
	var of ofRegistry
	cmd := &cobra.Command{
		Use: "list", Short: "List the scope maps of a registry", Args: noArgs, Example: "  acre scope-map list -r mainreg -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			reg, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			all, err := p.listOf(ctx, reg+"/scopeMaps", registryVersion)
			if err != nil {
				return err
			}
			return show(a, all, scopeMapRow)
		}),
	}
	of.flags(cmd, "registry", "r")
	return cmd
}

func (a *app) scopeMapDelete() *cobra.Command {
	var of ofScopeMap
	var yes bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a scope map", Args: noArgs, Example: "  acre scope-map delete -r mainreg -n readers --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Delete the scope map %s? Its tokens lose what it allows.", of.name)); err != nil {
				return err
			}
			return p.remove(ctx, id, registryVersion)
		}),
	}
	of.flags(cmd)
	yesFlag(cmd, &yes)
	return cmd
}

func yesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVarP(yes, "yes", "y", false, "do not ask")
}

// sure asks unless the user said yes beforehand.
func (a *app) sure(yes bool, question string) error {
	if yes {
		return nil
	}
	return a.confirm(question, "give --yes")
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// connectedNew are the flags of create.
type connectedNew struct {
	connectedSettings
	mode, parent, token                  string
	repositories, clients, notifications []string
	yes                                  bool
}

func (a *app) connectedCreate() *cobra.Command {
	set := connectedNew{connectedSettings: connectedSettings{schedule: acr.Continuous, ttl: "P2D", log: acr.DefaultLogLevel, gcSchedule: acr.DefaultCollection}}
	cmd := &cobra.Command{
		Use: "create", Short: "Create a connected registry", Args: noArgs,
		Long: `Create a connected registry. With --repository, a scope map and a sync token of its name are made, in place of those that are
there, and the scope maps of those above it get its repositories; with --sync-token they are yours to look after.`,
		Example: `  acre connected-registry create -r mainreg -n site1 --repository app base/runtime
  acre connected-registry create -r mainreg -n line1 --parent site1 --repository app -m ReadOnly --client-tokens reader`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error { return set.create(ctx, p) }),
	}
	set.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&set.mode, "mode", "m", string(acr.ConnectedReadOnly), "ReadOnly: clients pull; ReadWrite: they push and delete too")
	f.StringVarP(&set.parent, "parent", "p", "", "connected registry above it (default the registry)")
	f.StringVar(&set.token, "sync-token", "", "token that it logs in to its parent with")
	f.Var(words{&set.repositories}, "repository", "repositories that it holds")
	f.Var(words{&set.clients}, "client-tokens", "tokens that clients may log in with there")
	f.Var(words{&set.notifications}, "notifications", "what it tells upwards: patterns such as app:*:push")
	yesFlag(cmd, &set.yes)
	return cmd
}

func (set *connectedNew) check() error {
	byIdentity := strings.EqualFold(set.auth, "ManagedIdentity")
	switch {
	case byIdentity && (set.identity == "" || set.token != "" || len(set.repositories) > 0 || set.parent != ""):
		return fault.New(fault.Invalid, "with --auth-type ManagedIdentity give --identity, and none of --sync-token, --repository and --parent")
	case !byIdentity && set.identity != "":
		return fault.New(fault.Invalid, "--identity needs --auth-type ManagedIdentity")
	case !byIdentity && (set.token == "") == (len(set.repositories) == 0):
		return fault.New(fault.Invalid, "what does it hold? Give either --repository or --sync-token")
	}
	if mode := acr.ParseConnectedMode(set.mode); mode != acr.ConnectedReadOnly && mode != acr.ConnectedReadWrite {
		return fault.New(fault.Invalid, "--mode is ReadOnly or ReadWrite, not %q", set.mode)
	}
	return nil
}

func (set *connectedNew) create(ctx context.Context, p *plane) error {
	if err := set.check(); err != nil {
		return err
	}
	id, reg, err := set.id(ctx, p)
	if err != nil {
		return err
	}
	if err := set.dataEndpoint(ctx, p, reg); err != nil {
		return err
	}
	parent, sync := object{}, set.sync()
	if set.parent != "" {
		if err := set.widen(ctx, p, reg); err != nil {
			return err
		}
		parent["id"] = reg + "/connectedRegistries/" + set.parent
	}
	if len(set.repositories) > 0 {
		if err := set.makeToken(ctx, p, reg); err != nil {
			return err
		}
	}
	if set.token != "" {
		sync["tokenId"] = reg + "/tokens/" + set.token
	}
	parent["syncProperties"] = sync
	clients, err := tokenIDs(reg, set.clients)
	if err != nil {
		return err
	}
	body := object{"properties": object{
		"mode": set.mode, "parent": parent, "clientTokenIds": clients, "logging": set.logging(), "garbageCollection": set.collection(), "notificationsList": set.notifications,
	}}
	if set.identity != "" {
		body["identity"] = userAssigned(set.identity)
	}
	got, err := p.ask(ctx, http.MethodPut, id, registryVersion, body)
	if err != nil {
		return err
	}
	return showOne(p.app, got, connectedRegistries.row)
}

// dataEndpoint makes sure that the registry has what connected registries need.
func (set *connectedNew) dataEndpoint(ctx context.Context, p *plane, reg string) error {
	home, err := p.get(ctx, reg, registryVersion)
	if on, _ := home["dataEndpointEnabled"].(bool); err != nil || on {
		return err
	}
	if err := p.sure(set.yes, fmt.Sprintf("Connected registries need dedicated data endpoints, which firewalls may have to let through. Enable them for %s?", lastPart(reg))); err != nil {
		return err
	}
	_, err = p.ask(ctx, http.MethodPatch, reg, registryVersion, object{"properties": object{"dataEndpointEnabled": true}})
	return err
}

// gatewayActions are what a connected registry may do at its parents' gateways.
func gatewayActions(name string) []string {
	actions := []string{}
	for _, verb := range []string{"config/read", "config/write", "message/read", "message/write"} {
		actions = append(actions, "gateway/"+strings.ToLower(name)+"/"+verb)
	}
	return actions
}

// modeActions are what a connected registry of a mode may do with repositories.
func modeActions(mode acr.ConnectedMode, repositories []string) []string {
	actions := []string{}
	for _, repo := range repositories {
		for _, act := range mode.Actions() {
			actions = append(actions, acr.ScopeAction(strings.ToLower(repo), act))
		}
	}
	return actions
}

// makeToken makes the scope map and the sync token of the connected registry's own name.
func (set *connectedNew) makeToken(ctx context.Context, p *plane, reg string) error {
	set.token = set.name
	actions := append(modeActions(acr.ParseConnectedMode(set.mode), set.repositories), gatewayActions(set.name)...)
	scopeMap := reg + "/scopeMaps/" + set.name
	if _, err := p.putScopeMap(ctx, scopeMap, actions, "Created by connected registry sync token: "+set.name); err != nil {
		return err
	}
	_, err := p.ask(ctx, http.MethodPut, reg+"/tokens/"+set.name, registryVersion, object{"properties": object{"scopeMapId": scopeMap, "status": "enabled"}})
	return err
}

// widen gives those above the new one its repositories and its gateway.
func (set *connectedNew) widen(ctx context.Context, p *plane, reg string) error {
	all, err := p.connected(ctx, reg)
	if err != nil {
		return err
	}
	parent := all.find(set.parent)
	if parent == nil {
		return fault.New(fault.NotFound, "the registry %s has no connected registry %s to be the parent", lastPart(reg), set.parent)
	}
	mode := acr.ParseConnectedMode(set.mode)
	if above := acr.ParseConnectedMode(text(parent, "mode")); above != acr.ConnectedReadWrite && above != mode {
		return fault.New(fault.Invalid, "%s cannot be %s below %s, which is %s", set.name, mode, set.parent, above)
	}
	actions := append(modeActions(mode, set.repositories), gatewayActions(set.name)...)
	for _, o := range append(connectedTree{parent}, all.above(set.parent)...) {
		if err := p.permit(ctx, o, actions, nil); err != nil {
			return err
		}
	}
	return nil
}

// syncScopeMap is the scope map of a connected registry's sync token.
func (p *plane) syncScopeMap(ctx context.Context, connected object) (object, error) {
	id := text(connected, "parent", "syncProperties", "tokenId")
	if id == "" {
		return nil, fault.New(fault.Invalid, "%s logs in as a managed identity: what it holds says that identity's role assignments", text(connected, "name"))
	}
	token, err := p.get(ctx, id, registryVersion)
	if err != nil {
		return nil, err
	}
	return p.get(ctx, text(token, "scopeMapId"), registryVersion)
}

// permit changes what a connected registry holds.
func (p *plane) permit(ctx context.Context, connected object, add, remove []string) error {
	m, err := p.syncScopeMap(ctx, connected)
	if err != nil {
		return err
	}
	have := texts(m["actions"])
	want := slices.Clone(have)
	for _, action := range add {
		if !slices.Contains(want, action) {
			want = append(want, action)
		}
	}
	want = slices.DeleteFunc(want, func(action string) bool { return slices.Contains(remove, action) && !slices.Contains(add, action) })
	if slices.Equal(have, want) {
		return nil
	}
	p.warn("The scope map %s of %s changes: %d actions, then %d.", text(m, "name"), text(connected, "name"), len(have), len(want))
	_, err = p.ask(ctx, http.MethodPatch, text(m, "id"), registryVersion, object{"properties": object{"actions": want}})
	return err
}

func (a *app) connectedPermissions() *cobra.Command {
	cmd := group("permissions", "What a connected registry holds", "")
	of := ofChild{kind: connectedRegistries}
	shown := &cobra.Command{
		Use: "show", Short: "Show what a connected registry holds", Args: noArgs, Example: "  acre connected-registry permissions show -r mainreg -n site1",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			m, err := p.syncScopeMap(ctx, got)
			if err != nil {
				return err
			}
			return showOne(a, m, scopeMapRow)
		}),
	}
	of.flags(shown)
	cmd.AddCommand(shown, a.connectedPermit("update"))
	return cmd
}

func (a *app) connectedPermit(verb string) *cobra.Command {
	of := ofChild{kind: connectedRegistries}
	var add, remove []string
	cmd := &cobra.Command{
		Use: verb, Short: "Change what a connected registry holds", Args: noArgs,
		Long:    "Change what a connected registry holds. What is added those above it get too; what is removed goes from those below it too.",
		Example: "  acre connected-registry permissions update -r mainreg -n site1 --add app --remove old",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if len(add)+len(remove) == 0 {
				return fault.New(fault.Invalid, "what is to change? Give --add or --remove")
			}
			for _, repo := range add {
				if slices.Contains(remove, repo) {
					return fault.New(fault.Invalid, "--add and --remove both name %s: which is meant?", repo)
				}
			}
			_, reg, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			all, err := p.connected(ctx, reg)
			if err != nil {
				return err
			}
			target := all.find(of.name)
			if target == nil {
				return fault.New(fault.NotFound, "the registry %s has no connected registry %s", lastPart(reg), of.name)
			}
			plus, minus := modeActions(acr.ParseConnectedMode(text(target, "mode")), add), modeActions(acr.ConnectedReadWrite, remove)
			for _, o := range all.below(of.name, true) {
				err = errors.Join(err, p.permit(ctx, o, nil, minus))
			}
			for _, o := range all.above(of.name) {
				err = errors.Join(err, p.permit(ctx, o, plus, nil))
			}
			return errors.Join(err, p.permit(ctx, target, plus, minus))
		}),
	}
	of.flags(cmd)
	cmd.Flags().Var(words{&add}, "add", "repositories that it holds from now on")
	cmd.Flags().Var(words{&remove}, "remove", "repositories that it no longer holds")
	return cmd
}

func (a *app) connectedDelete() *cobra.Command {
	of := ofChild{kind: connectedRegistries}
	var yes, cleanup bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a connected registry", Args: noArgs,
		Long:    "Delete a connected registry. Its sync token and scope map stay, and what those above it hold for it, unless --cleanup takes them away too.",
		Example: "  acre connected-registry delete -r mainreg -n site1 --cleanup --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, reg, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			all, err := p.connected(ctx, reg)
			if err != nil {
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Delete the connected registry %s? The instance that runs it can no longer synchronise.", of.name)); err != nil {
				return err
			}
			if err := p.remove(ctx, id, registryVersion); err != nil {
				return err
			}
			target := all.find(of.name)
			if target == nil || !cleanup || text(target, "parent", "syncProperties", "tokenId") == "" {
				return nil
			}
			return p.cleanUp(ctx, all, target)
		}),
	}
	of.flags(cmd)
	cmd.Flags().BoolVar(&cleanup, "cleanup", false, "delete its sync token and scope map as well")
	yesFlag(cmd, &yes)
	return cmd
}

// cleanUp removes what a connected registry leaves: its token, its scope map, and its gateway at those above it.
func (p *plane) cleanUp(ctx context.Context, all connectedTree, target object) error {
	m, err := p.syncScopeMap(ctx, target)
	if err != nil {
		return err
	}
	if err := p.remove(ctx, text(target, "parent", "syncProperties", "tokenId"), registryVersion); err != nil {
		return err
	}
	if err := p.remove(ctx, text(m, "id"), registryVersion); err != nil {
		return err
	}
	for _, o := range all.above(text(target, "name")) {
		if err := p.permit(ctx, o, nil, gatewayActions(text(target, "name"))); err != nil {
			return err
		}
	}
	return nil
}

package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) tagCommand() *cobra.Command {
	cmd := group("tag", "Tags of registries and resource groups", `Tags of registries, resource groups and whatever else has a location, by themselves: nothing else of the resource is touched.

Tags of images are no matter of this: see acre repository show-tags.`)
	cmd.AddCommand(a.tagCreate(), a.tagUpdate(), a.tagList(), a.tagDelete())
	return cmd
}

// tagsAt is where the tags of a resource are.
func tagsAt(id string) (string, error) {
	if !strings.HasPrefix(id, "/") {
		return "", fault.New(fault.Invalid, "whose tags? Give --resource-id, as acre show --query id -o tsv prints it")
	}
	return strings.TrimRight(id, "/") + "/providers/" + arm.Resources + "/tags/default", nil
}

// sendTags changes tags, and shows what there is then.
func (a *app) sendTags(ctx context.Context, p *plane, method, id string, list []string, body object) error {
	at, err := tagsAt(id)
	if err != nil {
		return err
	}
	tags, err := pairs("tags", list)
	if err != nil {
		return err
	}
	body["properties"] = object{"tags": tags}
	var got object
	if err := p.call(ctx, forManagement, method, withVersion(at, resourceVersion), body, &got); err != nil {
		return err
	}
	return showOne(a, got, tagsRow)
}

func tagsRow(o object) any {
	properties, _ := o["properties"].(object)
	tags, _ := properties["tags"].(object)
	return tags
}

func tagFlags(cmd *cobra.Command, id *string, tags *[]string) {
	cmd.Flags().StringVar(id, "resource-id", "", "ID of what is tagged")
	if tags != nil {
		cmd.Flags().Var(words{tags}, "tags", "tags, as name=value")
	}
}

func (a *app) tagCreate() *cobra.Command {
	var id string
	var tags []string
	cmd := &cobra.Command{
		Use: "create", Short: "Give a resource tags, in place of those it has", Args: noArgs,
		Example: "  acre tag create --resource-id $(acre show -n mainreg --query id -o tsv) --tags team=a cost=1",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			return a.sendTags(ctx, p, http.MethodPut, id, tags, object{})
		}),
	}
	tagFlags(cmd, &id, &tags)
	return cmd
}

func (a *app) tagUpdate() *cobra.Command {
	var id, operation string
	var tags []string
	cmd := &cobra.Command{
		Use: "update", Short: "Change some of a resource's tags", Args: noArgs,
		Long:    "Merge adds tags and changes them, Delete takes those away that have the value given, Replace leaves no others.",
		Example: "  acre tag update --resource-id $ID --operation Merge --tags env=prod",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			return a.sendTags(ctx, p, http.MethodPatch, id, tags, object{"operation": operation})
		}),
	}
	tagFlags(cmd, &id, &tags)
	cmd.Flags().StringVar(&operation, "operation", "", "Merge, Delete or Replace")
	_ = cmd.MarkFlagRequired("operation") // it exists
	return cmd
}

func (a *app) tagList() *cobra.Command {
	var id, subscription string
	cmd := &cobra.Command{
		Use: "list", Short: "List the tags of a resource, or all that there are", Args: noArgs,
		Example: "  acre tag list --resource-id $ID\n  acre tag list -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if id == "" {
				sub, err := p.subscription(subscription)
				if err != nil {
					return err
				}
				all, err := p.listOf(ctx, "/subscriptions/"+sub+"/tagNames", resourceVersion)
				if err != nil {
					return err
				}
				return show(a, all, func(o object) any { return struct{ TagName string }{text(o, "tagName")} })
			}
			at, err := tagsAt(id)
			if err != nil {
				return err
			}
			var got object
			if err := p.call(ctx, forManagement, http.MethodGet, withVersion(at, resourceVersion), nil, &got); err != nil {
				return err
			}
			return showOne(a, got, tagsRow)
		}),
	}
	tagFlags(cmd, &id, nil)
	cmd.Flags().StringVar(&subscription, "subscription", "", "subscription, by ID or name (default the one of acre account show)")
	return cmd
}

func (a *app) tagDelete() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "delete", Short: "Take all tags of a resource away", Args: noArgs, Example: "  acre tag delete --resource-id $ID",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			at, err := tagsAt(id)
			if err != nil {
				return err
			}
			return p.remove(ctx, at, resourceVersion)
		}),
	}
	tagFlags(cmd, &id, nil)
	cmd.Flags().BoolP("yes", "y", false, "taken for az's sake: nothing is asked")
	return cmd
}

package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) graphCommand() *cobra.Command {
	cmd := group("graph", "Queries over registries, repositories and images", "Queries over all that you may read, in a part of the Kusto query language.")
	cmd.AddCommand(a.graphQuery())
	return cmd
}

const graphVersion = "2024-04-01"

func (a *app) graphQuery() *cobra.Command {
	var query, token, sub string
	var first, skip int
	cmd := &cobra.Command{
		Use: "query", Short: "Query registries, repositories and images in one go", Args: noArgs,
		Long: `Query registries and what lies in them (the table Resources), groups (ResourceContainers), and what lies in repositories
(ContainerRegistryRepositories, ContainerRegistryImages). Operators follow one another behind bars: where, extend, project,
project-away, summarize, distinct, order by, top, take, count.`,
		Example: `  acre graph query -q "ContainerRegistryImages | summarize images = count(), bytes = sum(size) by registry" -o table
  acre graph query -q "Resources | where type =~ 'Microsoft.ContainerRegistry/registries' and sku.name == 'Basic' | project name, location"`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if strings.TrimSpace(query) == "" {
				return fault.New(fault.Invalid, "which query? Give --graph-query")
			}
			id, err := p.subscription(sub)
			if err != nil {
				return err
			}
			options := object{"$top": first, "$skip": skip, "resultFormat": "objectArray"}
			if token != "" {
				options["$skipToken"] = token
			}
			var got object
			err = p.call(ctx, forManagement, http.MethodPost, withVersion("/providers/Microsoft.ResourceGraph/resources", graphVersion),
				object{"query": query, "subscriptions": []string{id}, "options": options}, &got)
			if err != nil {
				return err
			}
			if a.output == "table" && a.query == "" {
				return a.print(got["data"])
			}
			return a.print(object{"count": got["count"], "data": got["data"], "skip_token": got["$skipToken"], "total_records": got["totalRecords"]})
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&query, "graph-query", "q", "", "query")
	f.IntVar(&first, "first", 100, "how many rows to show, 1000 at most")
	f.IntVar(&skip, "skip", 0, "how many rows to leave out")
	f.StringVar(&token, "skip-token", "", "go on behind an answer, by its skip_token")
	f.StringVar(&sub, "subscription", "", "subscription, by ID or name (default the one of acre account show)")
	return cmd
}

package controlplane

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

const (
	graphProvider = "Microsoft.ResourceGraph"
	graphTime     = 10 * time.Second // that a query may take
	graphAtOnce   = 4                // queries that run; who comes then is asked to come again
	graphPage     = 1000             // rows of an answer at most
)

// graphRows answer queries over all resources, and over what lies in registries.
func (f *Face) graphRows() []*row {
	running := make(chan struct{}, graphAtOnce)
	return []*row{{provider: graphProvider, verbs: map[string]handler{"POST resources": func(c *call) error {
		select {
		case running <- struct{}{}:
		default:
			return fault.New(fault.TooMany, "%d queries are running already: try again", graphAtOnce)
		}
		defer func() { <-running }()
		return queryGraph(c)
	}}}}
}

type graphRequest struct {
	Subscriptions    []string        `json:"subscriptions"`
	ManagementGroups []string        `json:"managementGroups"`
	Query            string          `json:"query"`
	Options          graphOptions    `json:"options"`
	Facets           json.RawMessage `json:"facets"`
}

type graphOptions struct {
	SkipToken    string `json:"$skipToken"`
	Top          *int   `json:"$top"`
	Skip         int    `json:"$skip"`
	ResultFormat string `json:"resultFormat"`
}

type graphAnswer struct {
	TotalRecords    int    `json:"totalRecords"`
	Count           int    `json:"count"`
	ResultTruncated string `json:"resultTruncated"`
	SkipToken       string `json:"$skipToken,omitempty"`
	Data            any    `json:"data"`
	Facets          []any  `json:"facets"`
}

func queryGraph(c *call) error {
	var in graphRequest
	if err := c.decode(&in); err != nil {
		return err
	}
	if len(in.Facets) > 0 && string(in.Facets) != "null" && string(in.Facets) != "[]" {
		return fault.New(fault.Unsupported, "facets are not available in this version: leave them out, and summarize instead")
	}
	skip, top, err := in.Options.part()
	if err != nil {
		return err
	}
	q, err := acr.ParseGraphQuery(in.Query, c.opt.Resources.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx, graphTime)
	defer cancel()
	within := *c
	within.ctx = ctx
	g := &graph{&within, q}
	got, err := q.Run(g.read(in.Subscriptions), skip, top)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fault.New(fault.Code{Kind: fault.Invalid, Name: "QueryTimeout"}, "the query took more than %s: narrow it", graphTime)
	}
	if err != nil {
		return err
	}
	out := graphAnswer{TotalRecords: got.Total, Count: len(got.Rows), ResultTruncated: "false", Facets: []any{}}
	if skip+len(got.Rows) < got.Total {
		out.SkipToken = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(skip + len(got.Rows))))
	}
	out.Data = objects(q.Columns, got.Rows)
	if strings.EqualFold(in.Options.ResultFormat, "table") {
		out.Data = tableOf(q.Columns, got.Rows)
	}
	return c.write(http.StatusOK, out)
}

// part is how many rows are left out, and how many are wanted. A token says again what the answer before said.
func (o graphOptions) part() (skip, top int, err error) {
	skip, top = o.Skip, graphPage
	if o.SkipToken != "" {
		text, err := base64.RawURLEncoding.DecodeString(o.SkipToken)
		if skip, err = strconv.Atoi(string(text)); err != nil {
			return 0, 0, fault.New(fault.Invalid, "the $skipToken %.60q is none that was answered", o.SkipToken)
		}
	}
	if o.Top != nil {
		top = *o.Top
	}
	if skip < 0 || top < 1 || top > graphPage {
		return 0, 0, fault.New(fault.Invalid, "$top is 1 to %d and $skip is not negative, not %d and %d", graphPage, top, skip)
	}
	switch strings.ToLower(o.ResultFormat) {
	case "", "table", "objectarray":
		return skip, top, nil
	}
	return 0, 0, fault.New(fault.Invalid, "resultFormat %.40q is not objectArray or table", o.ResultFormat)
}

// graphObject is a row whose members stand in the order of the columns.
type graphObject struct {
	columns []string
	row     acr.GraphRow
}

// MarshalJSON writes the members that the row has, or null.
func (o graphObject) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, name := range o.columns {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(o.row[name])
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}

func objects(columns []string, rows []acr.GraphRow) []graphObject {
	out := make([]graphObject, len(rows))
	for i, r := range rows {
		out[i] = graphObject{columns, r}
	}
	return out
}

type graphTable struct {
	Columns []graphColumn `json:"columns"`
	Rows    [][]any       `json:"rows"`
}

type graphColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func tableOf(columns []string, rows []acr.GraphRow) graphTable {
	out := graphTable{Columns: make([]graphColumn, len(columns)), Rows: make([][]any, len(rows))}
	for i, name := range columns {
		out.Columns[i] = graphColumn{name, "string"}
		if first := slices.IndexFunc(rows, func(r acr.GraphRow) bool { return r[name] != nil }); first >= 0 {
			out.Columns[i].Type = graphType(rows[first][name])
		}
	}
	for i, r := range rows {
		out.Rows[i] = make([]any, len(columns))
		for j, name := range columns {
			out.Rows[i][j] = r[name]
		}
	}
	return out
}

func graphType(v any) string {
	switch v := v.(type) {
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case time.Time:
		return "datetime"
	case []any, map[string]any:
		return "object"
	}
	return "string"
}

// graph reads what a query looks at: no more than who asks may read.
type graph struct {
	*call
	q *acr.GraphQuery
}

type graphYield = func(acr.GraphRow, error) bool

// read gives the rows of the query's table; none where other subscriptions are meant.
func (g *graph) read(subscriptions []string) iter.Seq2[acr.GraphRow, error] {
	return func(yield graphYield) {
		own := g.opt.Resources.Installation().Subscription
		if len(subscriptions) > 0 && !slices.ContainsFunc(subscriptions, func(s string) bool { return strings.EqualFold(s, own) }) {
			return
		}
		switch g.q.Table {
		case acr.ContainersTable:
			g.containers(yield)
		case acr.RepositoriesTable, acr.ImagesTable:
			g.inventory(yield)
		default:
			g.resources(yield)
		}
	}
}

// wanted tells whether the query can use resources of a type.
func (g *graph) wanted(r *row) bool {
	return r.page != nil && (g.q.Types == nil || slices.Contains(g.q.Types, strings.ToLower(r.provider+"/"+r.types)))
}

func (g *graph) containers(yield graphYield) {
	if g.opt.Resources.Sees(g.ctx, g.opt.Resources.Scope()) == nil {
		in := g.opt.Resources.Installation()
		if !yield(g.row(map[string]any{"id": g.opt.Resources.Scope(), "name": "acre", "type": "Microsoft.Resources/subscriptions",
			"properties": map[string]any{"state": "Enabled"}, "subscriptionId": in.Subscription}), nil) {
			return
		}
	}
	groups := g.Face.rows["microsoft.resources/subscriptions/resourcegroups"]
	g.under(groups, g.opt.Resources.Scope(), func(r acr.GraphRow, err error) bool {
		if err == nil {
			r["type"] = "microsoft.resources/subscriptions/resourcegroups"
		}
		return yield(r, err)
	})
}

// resources are registries, what lies in them, and what else lies in groups; by type, then in the order of their lists.
func (g *graph) resources(yield graphYield) {
	scope := g.opt.Resources.Scope()
	var inside []*row
	for _, key := range slices.Sorted(maps.Keys(g.Face.rows)) {
		r := g.Face.rows[key]
		switch {
		case !g.wanted(r) || r.provider != arm.Provider && r.provider != arm.Identity || strings.Count(r.types, "/") > 1:
		case strings.Contains(r.types, "/"):
			inside = append(inside, r)
		case !g.under(r, scope, yield):
			return
		}
	}
	if len(inside) == 0 {
		return
	}
	g.under(g.Face.rows[strings.ToLower(arm.Provider+"/registries")], scope, func(registry acr.GraphRow, err error) bool {
		if err != nil {
			return yield(nil, err)
		}
		for _, r := range inside {
			if strings.HasPrefix(r.types, "registries/") && !g.under(r, registry["id"].(string), yield) {
				return false
			}
		}
		return true
	})
}

// under yields what lies below a parent of one kind; it is false where enough was seen.
func (g *graph) under(r *row, parent string, yield graphYield) bool {
	for after := ""; ; {
		if err := g.ctx.Err(); err != nil {
			return yield(nil, err)
		}
		some, more, err := r.page(g.call, parent, after)
		if errors.Is(err, fault.Denied) || errors.Is(err, fault.NotFound) {
			return true // it shows nothing, or went meanwhile
		}
		if err != nil {
			yield(nil, err)
			return false
		}
		for _, v := range some {
			text, err := json.Marshal(v)
			if err != nil {
				yield(nil, err)
				return false
			}
			var doc map[string]any
			if err := json.Unmarshal(text, &doc); err != nil {
				yield(nil, err)
				return false
			}
			if !yield(g.row(doc), nil) {
				return false
			}
		}
		if more == "" {
			return true
		}
		after = more
	}
}

// row is a resource as the tables show it: types and groups are in lower case, and all columns are there.
func (g *graph) row(doc map[string]any) acr.GraphRow {
	out := acr.GraphRow{"tenantId": g.opt.Resources.Installation().Tenant, "subscriptionId": g.opt.Resources.Installation().Subscription}
	for _, name := range acr.GraphColumns[g.q.Table] {
		if v, ok := doc[name]; ok {
			out[name] = v
		}
	}
	if kind, ok := doc["type"].(string); ok {
		out["type"] = strings.ToLower(kind)
	}
	if id, _ := doc["id"].(string); id != "" {
		if p, err := arm.ParsePath(id); err == nil {
			out["resourceGroup"] = strings.ToLower(p.Group)
		}
	}
	return out
}

// inventory is what lies in the repositories of registries.
func (g *graph) inventory(yield graphYield) {
	within, err := g.opt.Auth.Within(g.ctx)
	if err != nil {
		yield(nil, err)
		return
	}
	for _, in := range within {
		more := true
		if g.q.Table == acr.RepositoriesTable {
			err = g.opt.Resources.Repositories(in.Context, in.Key, func(r resource.Repository) bool {
				more = g.ctx.Err() == nil && yield(g.repository(in, r), nil)
				return more
			})
		} else {
			err = g.opt.Resources.Images(in.Context, in.Key, func(repo string, i resource.Image) bool {
				more = g.ctx.Err() == nil && yield(g.image(in, repo, i), nil)
				return more
			})
		}
		if errors.Is(err, fault.NotFound) {
			err = nil // the registry went meanwhile
		}
		if err = errors.Join(err, g.ctx.Err()); err != nil {
			yield(nil, err)
			return
		}
		if !more {
			return
		}
	}
}

// inRegistry is a row of what lies in a registry.
func (g *graph) inRegistry(in auth.Inside, kind, path string) acr.GraphRow {
	id := g.opt.Resources.IDOf(in.Registry.Registry)
	return acr.GraphRow{
		"id": id.String() + path, "type": strings.ToLower(arm.Provider + "/registries/" + kind), "registry": in.Name, "registryId": id.String(),
		"loginServer": strings.ToLower(g.opt.LoginServer(g.r.Host, in.Key)), "location": location(in.Location), "resourceGroup": strings.ToLower(id.Group),
		"subscriptionId": id.Subscription,
	}
}

func (g *graph) repository(in auth.Inside, r resource.Repository) acr.GraphRow {
	row := g.inRegistry(in, "repositories", "/repositories/"+r.Name)
	row["name"], row["manifestCount"], row["tagCount"] = r.Name, float64(r.Manifests), float64(r.Tags)
	row["createdTime"], row["lastUpdateTime"] = wireTime(r.Created), wireTime(r.Updated)
	return row
}

func (g *graph) image(in auth.Inside, repo string, i resource.Image) acr.GraphRow {
	row := g.inRegistry(in, "repositories/manifests", "/repositories/"+repo+"/manifests/"+string(i.Digest))
	tags := make([]any, len(i.Tags))
	for n, t := range i.Tags {
		tags[n] = t
	}
	row["name"], row["repository"], row["digest"], row["tags"] = repo+"@"+string(i.Digest), repo, string(i.Digest), tags
	row["mediaType"], row["artifactType"], row["size"], row["createdTime"] = i.MediaType, i.ArtifactType, float64(i.Size), wireTime(i.Created)
	if i.Subject != "" {
		row["subject"] = string(i.Subject)
	}
	return row
}

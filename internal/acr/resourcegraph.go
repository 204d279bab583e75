package acr

import (
	"iter"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// The language of queries over resources is a part of Kusto's: a table, then operators behind bars, each of which takes the rows
// of the one before. It reads only; what of it is not known is refused with the place where it stands.
//
//	[TABLE] | where … | extend C = … | project C, D = … | project-away C | summarize [C =] count() by … | distinct C
//	        | order by … [asc|desc] | top N by … | take N | count
var (
	badQuery   = fault.Code{Kind: fault.Invalid, Name: "InvalidQuery"}
	largeQuery = fault.Code{Kind: fault.Invalid, Name: "QueryTooLarge"}
)

// GraphRow is a row: values by column. They are nil, bool, float64, string, time.Time, time.Duration, []any and map[string]any.
type GraphRow = map[string]any

// GraphTable is what a query reads.
type GraphTable string

// The tables: the first two are the real service's, the others acre's own.
const (
	ResourcesTable    GraphTable = "Resources"
	ContainersTable   GraphTable = "ResourceContainers"
	RepositoriesTable GraphTable = "ContainerRegistryRepositories"
	ImagesTable       GraphTable = "ContainerRegistryImages"
)

// GraphColumns are the columns of each table, in order.
var GraphColumns = map[GraphTable][]string{
	ResourcesTable: {"id", "name", "type", "tenantId", "kind", "location", "resourceGroup", "subscriptionId", "managedBy", "sku", "plan", "properties", "tags",
		"identity", "zones", "extendedLocation", "systemData"},
	ContainersTable: {"id", "name", "type", "tenantId", "location", "resourceGroup", "subscriptionId", "managedBy", "properties", "tags"},
	RepositoriesTable: {"id", "name", "type", "registry", "registryId", "loginServer", "location", "resourceGroup", "subscriptionId", "manifestCount", "tagCount",
		"createdTime", "lastUpdateTime"},
	ImagesTable: {"id", "name", "type", "registry", "registryId", "loginServer", "location", "resourceGroup", "subscriptionId", "repository", "digest", "tags",
		"mediaType", "artifactType", "subject", "size", "createdTime"},
}

// Bounds of queries.
const (
	maxGraphQuery = 16 << 10 // bytes
	maxGraphDepth = 64       // of brackets and operators in one another
	maxGraphScan  = 250_000  // rows that are looked at
	maxGraphHeld  = 20_000   // rows that are sorted, or groups
	maxGraphText  = 64 << 10 // bytes of a text that is made
)

// GraphQuery is a query that was understood.
type GraphQuery struct {
	Table   GraphTable
	Columns []string // of the result, in order
	Types   []string // in lower case; what the query can use at most has one of them; nil: anything
	steps   []graphStep
	shaped  bool // an operator before made other columns
}

// graphStep is an operator.
type graphStep func(in iter.Seq2[GraphRow, error]) iter.Seq2[GraphRow, error]

// GraphResult is a part of what a query found.
type GraphResult struct {
	Total int // of all parts
	Rows  []GraphRow
}

// Run gives the rows of the query's table to the query, and keeps limit of the result, after skip. Errors: those of in; QueryTooLarge.
func (q *GraphQuery) Run(in iter.Seq2[GraphRow, error], skip, limit int) (out GraphResult, err error) {
	rows := scanned(in)
	for _, step := range q.steps {
		rows = step(rows)
	}
	for row, err := range rows {
		if err != nil {
			return GraphResult{}, err
		}
		if out.Total >= skip && len(out.Rows) < limit {
			out.Rows = append(out.Rows, row)
		}
		out.Total++
	}
	return out, nil
}

// scanned bounds how much a query looks at.
func scanned(in iter.Seq2[GraphRow, error]) iter.Seq2[GraphRow, error] {
	return func(yield func(GraphRow, error) bool) {
		n := 0
		for row, err := range in {
			if n++; err == nil && n > maxGraphScan {
				err = fault.New(largeQuery, "the query looks at more than %d rows: narrow it, with type in its first where for resources", maxGraphScan)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// held keeps rows, as many as may be.
func held(in iter.Seq2[GraphRow, error]) ([]GraphRow, error) {
	var out []GraphRow
	for row, err := range in {
		if err != nil {
			return nil, err
		}
		if len(out) == maxGraphHeld {
			return nil, tooManyHeld()
		}
		out = append(out, row)
	}
	return out, nil
}

func tooManyHeld() error {
	return fault.New(largeQuery, "the query sorts or groups into more than %d rows: narrow it by where first", maxGraphHeld)
}

func failing(err error) iter.Seq2[GraphRow, error] {
	return func(yield func(GraphRow, error) bool) { yield(nil, err) }
}

// graphMember reads a column or a member by its name; letters' case counts only where two differ by it alone.
func graphMember(of any, name string) any {
	m, ok := of.(map[string]any)
	if !ok {
		return nil
	}
	if v, ok := m[name]; ok {
		return v
	}
	for k, v := range m {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

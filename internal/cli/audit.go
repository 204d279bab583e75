package cli

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// acreProvider is under which the management API has what is acre's own.
const acreProvider = "/providers/Acre.Identity"

// logFilter says which rows of the audit are meant.
type logFilter struct {
	ofRegistry
	installation, failed                                            bool
	top                                                             int
	since, until, category, operation, identity, repository, result string
}

// categories are short names of what the audit keeps.
var categories = map[string]acr.AuditCategory{"login": acr.LoginEvents, "repository": acr.RepositoryEvents, "change": acr.Changes}

func (a *app) logCommand() *cobra.Command {
	var f logFilter
	cmd := &cobra.Command{
		Use: "log", Short: "Show who did what", Args: noArgs,
		Long: `Show who logged in, who pulled, pushed and deleted what, and who changed the registry, from the newest on. The columns are
those of the tables ContainerRegistryLoginEvents and ContainerRegistryRepositoryEvents.`,
		Example: `  acre log -r mainreg -o table
  acre log -r mainreg --category login --failed --since 1h
  acre log -r mainreg --repository team/app --operation Push --top 1000 -o json
  acre log --installation`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if f.top < 1 {
				return fault.New(fault.Invalid, "--top is a number of 1 or more, not %d", f.top)
			}
			rows, err := p.log(ctx, f, time.Now())
			if err != nil {
				return err
			}
			return show(a, rows, logRow)
		}),
	}
	f.flags(cmd, "registry", "r")
	fl := cmd.Flags()
	fl.BoolVar(&f.installation, "installation", false, "what belongs to no registry: sign-ins, the directory, roles")
	fl.IntVar(&f.top, "top", 100, "at most so many rows")
	fl.StringVar(&f.since, "since", "", "not before: a time, or how long ago, such as 30m or 24h")
	fl.StringVar(&f.until, "until", "", "not after: a time, or how long ago")
	fl.StringVar(&f.category, "category", "", "only login, repository or change")
	fl.StringVar(&f.operation, "operation", "", "only this one: Login, Pull, Push, Untag, Delete …")
	fl.StringVar(&f.identity, "identity", "", "only of this identity")
	fl.StringVar(&f.repository, "repository", "", "only of this repository")
	fl.StringVar(&f.result, "result", "", "only with this status, or one that begins so, such as 4")
	fl.BoolVar(&f.failed, "failed", false, "only what was refused: the same as --result 4")
	mustComplete(cmd, "category", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"login", "repository", "change"}, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// instant is a time, or how long ago.
func instant(flag, s string, now time.Time) (string, error) {
	if s == "" {
		return "", nil
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return now.Add(-ago).UTC().Format(time.RFC3339), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Format(time.RFC3339), nil
		}
	}
	return "", fault.New(fault.Invalid, "--%s %q is neither a time such as 2030-12-31T12:00:00Z nor a duration such as 24h", flag, s)
}

// query is the filter as the server takes it.
func (f *logFilter) query(now time.Time) ([]string, error) {
	since, err := instant("since", f.since, now)
	if err != nil {
		return nil, err
	}
	until, err := instant("until", f.until, now)
	if err != nil {
		return nil, err
	}
	category, known := categories[f.category]
	if f.category != "" && !known {
		return nil, fault.New(fault.Invalid, "--category is login, repository or change, not %q", f.category)
	}
	if f.failed {
		if f.result != "" {
			return nil, fault.New(fault.Invalid, "--failed and --result exclude each other")
		}
		f.result = "4"
	}
	query := []string{}
	for _, part := range []struct{ name, value string }{
		{"from", since}, {"to", until}, {"category", string(category)}, {"operation", f.operation}, {"identity", f.identity},
		{"repository", f.repository}, {"result", f.result},
	} {
		if part.value != "" {
			query = append(query, part.name, part.value)
		}
	}
	return query, nil
}

// log reads rows until there are enough.
func (p *plane) log(ctx context.Context, f logFilter, now time.Time) ([]object, error) {
	query, err := f.query(now)
	if err != nil {
		return nil, err
	}
	at := acreProvider
	if !f.installation {
		if at, err = p.registryID(ctx, f.ofRegistry); err != nil {
			return nil, err
		}
	}
	path := withVersion(at+"/auditEvents", registryVersion, query...)
	all := []object{}
	for range maxPages {
		var page struct {
			Value    []object `json:"value"`
			NextLink string   `json:"nextLink"`
		}
		if err := p.call(ctx, forManagement, http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Value...)
		if len(all) >= f.top || page.NextLink == "" {
			break
		}
		if path, err = p.here(page.NextLink); err != nil {
			return nil, err
		}
	}
	return all[:min(len(all), f.top)], nil
}

func logRow(o object) any {
	what := text(o, "repository")
	if tag := text(o, "tag"); tag != "" {
		what += ":" + tag
	} else if digest := text(o, "digest"); digest != "" && what != "" {
		what += "@" + digest[:min(len(digest), 19)]
	}
	if what == "" {
		what = text(o, "resource")
		what = what[strings.LastIndex(what, "/providers/")+1:]
	}
	return struct {
		Time, Operation, Identity, Address, Result, Reason, What string
	}{moment(text(o, "timeGenerated")), text(o, "operationName"), text(o, "identity"), text(o, "callerIpAddress"), text(o, "resultDescription"), text(o, "reason"), what}
}

func (a *app) auditCommand() *cobra.Command {
	cmd := group("audit", "Whether the record of who did what is whole", "")
	cmd.AddCommand(&cobra.Command{
		Use: "verify", Short: "Find rows that were changed, moved or removed", Args: noArgs,
		Long: `Read the record of who did what from end to end, and find rows that were changed, moved, added or removed. Each row's sum
covers the row before it; keep the heads that this prints elsewhere, and a record that was written anew shows too.

Ends with 1 where a row is not as it was written.`,
		Example: "  acre audit verify -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			got, err := p.ask(ctx, http.MethodPost, acreProvider+"/verifyAudit", registryVersion, object{})
			if err != nil {
				return err
			}
			chains := objects(got["chains"])
			if a.output != "table" || a.query != "" {
				err = a.print(got)
			} else {
				err = show(a, chains, chainRow)
			}
			if err != nil {
				return err
			}
			return brokenChains(chains)
		}),
	})
	return cmd
}

func chainRow(o object) any {
	return struct{ Registry, Rows, First, Last, Head, Faults any }{
		text(o, "registry"), o["rows"], o["first"], o["last"], text(o, "head"), len(objects(o["faults"])),
	}
}

// brokenChains says which rows are not as they were written.
func brokenChains(chains []object) error {
	said := []string{}
	for _, c := range chains {
		for _, f := range objects(c["faults"]) {
			said = append(said, "registry "+quote(text(c, "registry"))+": "+text(f, "what"))
		}
	}
	if len(said) == 0 {
		return nil
	}
	const most = 5
	more := ""
	if len(said) > most {
		more = ", and more"
	}
	return fault.New(fault.Conflict, "the record is not as it was written: %s%s", strings.Join(slices.Clip(said[:min(len(said), most)]), "; "), more)
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
)

// pageSize is how many names a listing asks for at once; servers may give less.
const pageSize = 1000

// deleteRemedy is what to do where nobody can be asked before a deletion.
const deleteRemedy = "give --yes, or --dry-run to see only"

// resolvers is how many tags are resolved at once.
const resolvers = 8

func (a *app) repositoryCommand() *cobra.Command {
	cmd := group("repository", "See, lock and delete repositories, manifests and tags", "")
	cmd.AddCommand(a.repositoryList(), a.repositoryShow(), a.repositoryUpdate(), a.repositoryTags(), a.repositoryDelete(), a.repositoryUntag())
	return cmd
}

func (a *app) repositoryList() *cobra.Command {
	var acc account
	var top int
	cmd := &cobra.Command{
		Use: "list", Short: "List the repositories of a registry", Args: noArgs,
		Example: "  acre repository list\n  acre repository list -n mainreg --top 20 -o table\n  acre repository list --query \"[?starts_with(@, 'library/')]\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkTop(cmd, top); err != nil {
				return err
			}
			c, err := a.open(cmd.Context(), acc)
			if err != nil {
				return err
			}
			names, err := a.names(top, "repositories", func(p oci.Page) ([]string, bool, error) { return c.Repositories(cmd.Context(), p) })
			if err != nil {
				return fmt.Errorf("list the repositories of %s: %w", c.Host(), err)
			}
			return a.print(names)
		},
	}
	acc.flags(cmd)
	cmd.Flags().IntVar(&top, "top", 0, "at most so many (default all)")
	return cmd
}

func checkTop(cmd *cobra.Command, top int) error {
	if cmd.Flags().Changed("top") && top < 1 {
		return fault.New(fault.Invalid, "--top is a number of 1 or more, not %d", top)
	}
	return nil
}

func (a *app) repositoryTags() *cobra.Command {
	var acc account
	var repo string
	var l listed
	var detail bool
	cmd := &cobra.Command{
		Use: "show-tags", Short: "List the tags of a repository", Args: noArgs,
		Example: "  acre repository show-tags --repository app\n  acre repository show-tags -n mainreg --repository library/app --top 10 --orderby time_desc --detail",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(need("repository", repo), checkTop(cmd, l.top)); err != nil {
				return err
			}
			c, err := a.open(cmd.Context(), acc)
			if err != nil {
				return err
			}
			if !detail && l.orderBy == "" {
				tags, err := a.tags(cmd.Context(), c, repo, l.top)
				if err != nil {
					return err
				}
				return a.print(tags)
			}
			return a.tagInfos(cmd.Context(), c, repo, l, detail)
		},
	}
	acc.flags(cmd)
	cmd.Flags().StringVar(&repo, "repository", "", "repository")
	cmd.Flags().BoolVar(&detail, "detail", false, "show digest, times and locks too")
	l.flags(cmd)
	mustComplete(cmd, "repository", a.completeRepository(&acc))
	return cmd
}

// tagInfos prints tags in the order asked for: their names, or with detail all that is known of them.
func (a *app) tagInfos(ctx context.Context, c *ociclient.Client, repo string, l listed, detail bool) error {
	list, err := infos(a, l, "tags", func(l acr.Listing) ([]acr.TagInfo, bool, error) { return c.TagInfos(ctx, repo, l) },
		func(t acr.TagInfo) string { return t.Name })
	if err != nil {
		return fmt.Errorf("list the tags of %s/%s: %w", c.Host(), repo, err)
	}
	if detail {
		return a.print(list)
	}
	names := make([]string, len(list))
	for i, t := range list {
		names[i] = t.Name
	}
	return a.print(names)
}

// need refuses a command without a flag that it cannot do without.
func need(flag, value string) error {
	if value == "" {
		return fault.New(fault.Invalid, "--%s is missing", flag)
	}
	return nil
}

func (a *app) tags(ctx context.Context, c *ociclient.Client, repo string, top int) ([]string, error) {
	tags, err := a.names(top, "tags", func(p oci.Page) ([]string, bool, error) { return c.Tags(ctx, repo, p) })
	if err != nil {
		return nil, fmt.Errorf("list the tags of %s/%s: %w", c.Host(), repo, err)
	}
	return tags, nil
}

// names reads pages until there are top names, or all of them where top is 0.
func (a *app) names(top int, what string, page func(oci.Page) ([]string, bool, error)) ([]string, error) {
	line := a.progress(what)
	defer line.end()
	all := []string{}
	for p := (oci.Page{Limit: pageSize}); ; {
		if top > 0 {
			p.Limit = min(pageSize, top-len(all))
		}
		names, more, err := page(p)
		if err != nil {
			return nil, err
		}
		if all = append(all, names...); !more || top > 0 && len(all) >= top {
			return all, nil
		}
		p.After = all[len(all)-1]
		line.at(len(all), 0)
	}
}

// image is a manifest of a repository, as a user names it: repo:tag or repo@digest; the tag is latest where there is
// neither.
type image struct {
	repo string
	ref  oci.Ref
}

func (i image) String() string {
	switch {
	case i.ref.Tag != "":
		return i.repo + ":" + i.ref.Tag
	case i.ref.Digest == "":
		return i.repo
	}
	return i.repo + "@" + string(i.ref.Digest)
}

func parseImage(s string) (image, error) {
	if repo, d, ok := strings.Cut(s, "@"); ok {
		parsed, err := oci.ParseDigest(d)
		return image{repo, oci.Ref{Digest: parsed}}, errors.Join(oci.CheckName(repo), err)
	}
	repo, tag, ok := strings.Cut(s, ":")
	if !ok {
		tag = "latest"
	}
	return image{repo, oci.Ref{Tag: tag}}, errors.Join(oci.CheckName(repo), oci.CheckTag(tag))
}

// deletion is what a delete takes, or would.
type deletion struct {
	Manifests []oci.Digest `json:"manifestsDeleted"`
	Tags      []string     `json:"tagsDeleted"`
}

func (a *app) repositoryDelete() *cobra.Command {
	var acc account
	var repo, img string
	var yes, dry bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a repository, or a manifest with all of its tags", Args: noArgs,
		Long: `Delete a repository with everything in it, or the manifest that --image names with every tag on it and every manifest
that refers to it as its subject. To take away a tag only, use acre repository untag.`,
		Example: `  acre repository delete --image app:v1
  acre repository delete --image app@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a --yes
  acre repository delete -n mainreg --repository app --dry-run`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (repo == "") == (img == "") {
				return fault.New(fault.Invalid, "give either --repository or --image")
			}
			c, err := a.open(cmd.Context(), acc)
			if err != nil {
				return err
			}
			if img != "" {
				return a.deleteImage(cmd.Context(), c, img, yes, dry)
			}
			return a.deleteRepository(cmd.Context(), c, repo, yes, dry)
		},
	}
	acc.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&repo, "repository", "", "repository to delete")
	f.StringVarP(&img, "image", "t", "", "manifest to delete, as repo:tag or repo@digest")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&dry, "dry-run", false, "show what would be deleted, and delete nothing")
	mustComplete(cmd, "repository", a.completeRepository(&acc))
	mustComplete(cmd, "image", a.completeImage(&acc))
	return cmd
}

func (a *app) deleteRepository(ctx context.Context, c *ociclient.Client, repo string, yes, dry bool) error {
	if err := oci.CheckName(repo); err != nil {
		return err
	}
	if dry {
		found, err := a.resolveTags(ctx, c, repo)
		if err != nil {
			return err
		}
		d := deletion{Manifests: []oci.Digest{}, Tags: []string{}}
		for _, t := range found {
			d.Manifests, d.Tags = append(d.Manifests, t.digest), append(d.Tags, t.tag)
		}
		slices.Sort(d.Manifests)
		d.Manifests = slices.Compact(d.Manifests)
		a.warn("Nothing was deleted. Manifests without a tag would go too; they are not shown.")
		return a.print(d)
	}
	if !yes {
		if err := a.confirm(fmt.Sprintf("Delete the repository %s of %s, with every image in it?", repo, c.Host()), deleteRemedy); err != nil {
			return err
		}
	}
	gone, err := c.DeleteRepository(ctx, repo)
	if err != nil {
		return fmt.Errorf("delete %s/%s: %w", c.Host(), repo, err)
	}
	return a.print(deletion(gone))
}

func (a *app) deleteImage(ctx context.Context, c *ociclient.Client, name string, yes, dry bool) error {
	img, err := parseImage(name)
	if err != nil {
		return err
	}
	desc, err := c.Resolve(ctx, img.repo, img.ref)
	if err != nil {
		return fmt.Errorf("find %s in %s: %w", img, c.Host(), err)
	}
	if dry || !yes {
		tags, err := a.tagsOf(ctx, c, img.repo, desc.Digest)
		if err != nil {
			return err
		}
		d := deletion{Manifests: []oci.Digest{desc.Digest}, Tags: tags}
		if dry {
			a.warn("Nothing was deleted. Manifests that refer to this one would go too; they are not shown.")
			return a.print(d)
		}
		if err := a.confirm(askDelete(img, d), deleteRemedy); err != nil {
			return err
		}
	}
	if err := c.DeleteManifest(ctx, img.repo, desc.Digest); err != nil {
		return fmt.Errorf("delete %s@%s: %w", img.repo, desc.Digest, err)
	}
	a.warn("Deleted %s@%s", img.repo, desc.Digest)
	return nil
}

// tagsOf finds the tags of a manifest. A registry that does not tell has all its tags resolved.
func (a *app) tagsOf(ctx context.Context, c *ociclient.Client, repo string, d oci.Digest) ([]string, error) {
	list, err := infos(a, listed{}, "tags", func(l acr.Listing) ([]acr.TagInfo, bool, error) {
		l.Digest = d
		return c.TagInfos(ctx, repo, l)
	}, func(t acr.TagInfo) string { return t.Name })
	tags := []string{}
	for _, t := range list {
		tags = append(tags, t.Name)
	}
	if !errors.Is(err, fault.Unsupported) {
		return tags, err
	}
	found, err := a.resolveTags(ctx, c, repo)
	for _, t := range found {
		if t.digest == d {
			tags = append(tags, t.tag)
		}
	}
	return tags, err
}

// askDelete names every tag that would go; of very many the first.
func askDelete(img image, d deletion) string {
	const shown = 20
	tags := "no tag"
	if n := len(d.Tags); n > 0 {
		tags = "the tags " + strings.Join(d.Tags[:min(n, shown)], ", ")
		if n > shown {
			tags += fmt.Sprintf(" and %d more", n-shown)
		}
	}
	return fmt.Sprintf("Delete the manifest %s@%s with %s?", img.repo, d.Manifests[0], tags)
}

// resolved is a tag and what it names.
type resolved struct {
	tag    string
	digest oci.Digest
}

// resolveTags finds what every tag of a repository names. A tag that goes meanwhile is left out.
func (a *app) resolveTags(ctx context.Context, c *ociclient.Client, repo string) ([]resolved, error) {
	tags, err := a.tags(ctx, c, repo, 0)
	if err != nil {
		return nil, err
	}
	line := a.progress("resolving tags")
	defer line.end()
	var mu sync.Mutex
	done, found := 0, make([]resolved, len(tags))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(resolvers)
	for i, tag := range tags {
		g.Go(func() error {
			desc, err := c.Resolve(ctx, repo, oci.Ref{Tag: tag})
			if err != nil && !errors.Is(err, fault.NotFound) {
				return fmt.Errorf("resolve %s:%s: %w", repo, tag, err)
			}
			mu.Lock()
			defer mu.Unlock()
			found[i] = resolved{tag, desc.Digest}
			done++
			line.at(done, len(tags))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(r resolved) bool { return r.digest == "" }), nil
}

func (a *app) repositoryUntag() *cobra.Command {
	var acc account
	var name string
	cmd := &cobra.Command{
		Use: "untag", Short: "Take a tag away from its manifest", Args: noArgs,
		Long:    "Remove a tag. The manifest stays, under its digest and its other tags.",
		Example: "  acre repository untag --image app:v1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := need("image", name); err != nil {
				return err
			}
			img, err := parseImage(name)
			if err != nil {
				return err
			}
			if img.ref.Tag == "" {
				return fault.New(fault.Invalid, "%s is a digest: name the tag to take away as repo:tag", name)
			}
			c, err := a.open(cmd.Context(), acc)
			if err != nil {
				return err
			}
			if err := c.DeleteTag(cmd.Context(), img.repo, img.ref.Tag); err != nil {
				return fmt.Errorf("untag %s: %w", img, err)
			}
			return nil
		},
	}
	acc.flags(cmd)
	cmd.Flags().StringVarP(&name, "image", "t", "", "tag to take away, as repo:tag")
	mustComplete(cmd, "image", a.completeImage(&acc))
	return cmd
}

// completions is how many names a shell is offered, and how long it waits for them.
const (
	completions    = 100
	completionWait = 2 * time.Second
)

func (a *app) completeRepository(acc *account) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		names := a.complete(cmd.Context(), *acc, prefix, func(ctx context.Context, c *ociclient.Client, p oci.Page) ([]string, bool, error) {
			return c.Repositories(ctx, p)
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeImage offers repositories, and after a colon the tags.
func (a *app) completeImage(acc *account) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		repo, tag, ok := strings.Cut(prefix, ":")
		if !ok {
			names, _ := a.completeRepository(acc)(cmd, args, prefix)
			return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		names := a.complete(cmd.Context(), *acc, tag, func(ctx context.Context, c *ociclient.Client, p oci.Page) ([]string, bool, error) {
			return c.Tags(ctx, repo, p)
		})
		for i := range names {
			names[i] = repo + ":" + names[i]
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// complete lists names with a prefix. What fails offers nothing: a shell has no place for an error.
func (a *app) complete(ctx context.Context, acc account, prefix string, page func(context.Context, *ociclient.Client, oci.Page) ([]string, bool, error)) []string {
	ctx, cancel := context.WithTimeout(ctx, completionWait)
	defer cancel()
	c, err := a.open(ctx, acc)
	if err != nil {
		return nil
	}
	p := oci.Page{Limit: completions}
	if n := len(prefix); n > 0 { // the last possible name before the prefix
		p.After = prefix[:n-1] + string(prefix[n-1]-1) + "~"
	}
	names, _, err := page(ctx, c, p)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

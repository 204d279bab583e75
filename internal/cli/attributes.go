package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
)

// subject is what attributes are of: a repository, or what an image names.
type subject struct{ repo, img string }

func (s *subject) flags(a *app, cmd *cobra.Command, acc *account) {
	acc.flags(cmd)
	cmd.Flags().StringVar(&s.repo, "repository", "", "repository")
	cmd.Flags().StringVarP(&s.img, "image", "t", "", "tag or manifest, as repo:tag or repo@digest")
	mustComplete(cmd, "repository", a.completeRepository(acc))
	mustComplete(cmd, "image", a.completeImage(acc))
}

func (s *subject) of() (ociclient.Of, error) {
	if (s.repo == "") == (s.img == "") {
		return ociclient.Of{}, fault.New(fault.Invalid, "give either --repository or --image")
	}
	if s.repo != "" {
		return ociclient.Of{Repository: s.repo}, oci.CheckName(s.repo)
	}
	img, err := parseImage(s.img)
	return ociclient.Of{Repository: img.repo, Ref: img.ref}, err
}

func (a *app) repositoryShow() *cobra.Command {
	var acc account
	var s subject
	cmd := &cobra.Command{
		Use: "show", Short: "Show what is known of a repository, a tag or a manifest", Args: noArgs,
		Example: "  acre repository show --repository app\n  acre repository show -n mainreg --image app:v1 -o table",
		RunE: func(cmd *cobra.Command, _ []string) error {
			of, err := s.of()
			if err != nil {
				return err
			}
			return a.showAttributes(cmd.Context(), acc, of)
		},
	}
	s.flags(a, cmd, &acc)
	return cmd
}

func (a *app) showAttributes(ctx context.Context, acc account, of ociclient.Of) error {
	c, err := a.open(ctx, acc)
	if err != nil {
		return err
	}
	found, err := c.Attributes(ctx, of)
	if err != nil {
		return fmt.Errorf("show %s of %s: %w", image{of.Repository, of.Ref}, c.Host(), err)
	}
	return a.print(found)
}

// enabling are the four flags of attributes, each true, false or not given.
type enabling struct{ deletes, writes, lists, reads string }

func (e *enabling) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&e.deletes, "delete-enabled", "", "true or false: whether it may be deleted")
	f.StringVar(&e.lists, "list-enabled", "", "true or false: whether lists show it")
	f.StringVar(&e.reads, "read-enabled", "", "true or false: whether it may be pulled")
	f.StringVar(&e.writes, "write-enabled", "", "true or false: whether it may be overwritten or deleted")
}

func (e *enabling) change() (c acr.AttributeChange, err error) {
	for _, f := range []struct {
		name, value string
		into        **bool
	}{
		{"delete-enabled", e.deletes, &c.DeleteEnabled}, {"list-enabled", e.lists, &c.ListEnabled},
		{"read-enabled", e.reads, &c.ReadEnabled}, {"write-enabled", e.writes, &c.WriteEnabled},
	} {
		if f.value == "" {
			continue
		}
		b, err := strconv.ParseBool(f.value)
		if err != nil {
			return c, fault.New(fault.Invalid, "--%s is true or false, not %q", f.name, f.value)
		}
		*f.into = &b
	}
	if c == (acr.AttributeChange{}) {
		return c, fault.New(fault.Invalid, "give what to change: --delete-enabled, --list-enabled, --read-enabled or --write-enabled")
	}
	return c, nil
}

func (a *app) repositoryUpdate() *cobra.Command {
	var acc account
	var s subject
	var e enabling
	cmd := &cobra.Command{
		Use: "update", Short: "Lock or unlock a repository, a tag or a manifest", Args: noArgs,
		Long: `Close a repository, a tag or a manifest to being deleted, written, listed or read, or open it again. A tag's flags and its
manifest's are separate; to delete an image, both have to allow it.`,
		Example: "  acre repository update --image app:v1 --write-enabled false\n  acre repository update --repository app --delete-enabled false --write-enabled true",
		RunE: func(cmd *cobra.Command, _ []string) error {
			of, err := s.of()
			if err != nil {
				return err
			}
			return a.changeAttributes(cmd.Context(), acc, of, e)
		},
	}
	s.flags(a, cmd, &acc)
	e.flags(cmd)
	return cmd
}

func (a *app) changeAttributes(ctx context.Context, acc account, of ociclient.Of, e enabling) error {
	change, err := e.change()
	if err != nil {
		return err
	}
	c, err := a.open(ctx, acc)
	if err != nil {
		return err
	}
	now, err := c.Change(ctx, of, change)
	if err != nil {
		return fmt.Errorf("update %s of %s: %w", image{of.Repository, of.Ref}, c.Host(), err)
	}
	return a.print(now)
}

// listed are the flags of a list of tags or manifests.
type listed struct {
	top     int
	orderBy string
}

func (l *listed) flags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&l.top, "top", 0, "at most so many (default all)")
	cmd.Flags().StringVar(&l.orderBy, "orderby", "", "time_asc or time_desc (default by name)")
	mustComplete(cmd, "orderby", cobra.FixedCompletions([]string{"time_asc", "time_desc"}, cobra.ShellCompDirectiveNoFileComp))
}

func (l *listed) order() (acr.Order, error) {
	switch l.orderBy {
	case "":
		return acr.ByName, nil
	case "time_asc":
		return acr.OldestFirst, nil
	case "time_desc":
		return acr.NewestFirst, nil
	}
	return 0, fault.New(fault.Invalid, "--orderby is time_asc or time_desc, not %q", l.orderBy)
}

// infos reads pages of tags or manifests until there are as many as asked for. key is what a page goes on after.
func infos[T any](a *app, l listed, what string, page func(acr.Listing) ([]T, bool, error), key func(T) string) ([]T, error) {
	order, err := l.order()
	if err != nil {
		return nil, err
	}
	line := a.progress(what)
	defer line.end()
	all := []T{}
	for at := (acr.Listing{Order: order, Page: oci.Page{Limit: pageSize}}); ; {
		if l.top > 0 {
			at.Limit = min(pageSize, l.top-len(all))
		}
		list, more, err := page(at)
		if err != nil {
			return nil, err
		}
		if all = append(all, list...); !more || len(list) == 0 || l.top > 0 && len(all) >= l.top {
			return all, nil
		}
		at.After = key(all[len(all)-1])
		line.at(len(all), 0)
	}
}

package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
)

func (a *app) manifestCommand() *cobra.Command {
	cmd := group("manifest", "See, lock and delete manifests", "")
	cmd.AddCommand(a.manifestShow(), a.manifestListMetadata(), a.manifestShowMetadata(), a.manifestUpdateMetadata(), a.manifestDelete(),
		a.manifestListReferrers())
	return cmd
}

// manifestVerb is a verb on the manifest that --image names.
func (a *app) manifestVerb(cmd *cobra.Command, acc *account, run func(ctx context.Context, img image) error) *cobra.Command {
	var name string
	cmd.Args = noArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := need("image", name); err != nil {
			return err
		}
		img, err := parseImage(name)
		if err != nil {
			return err
		}
		return run(cmd.Context(), img)
	}
	acc.flags(cmd)
	cmd.Flags().StringVarP(&name, "image", "t", "", "manifest, as repo:tag or repo@digest")
	mustComplete(cmd, "image", a.completeImage(acc))
	return cmd
}

func (a *app) manifestShow() *cobra.Command {
	var acc account
	var raw bool
	cmd := a.manifestVerb(&cobra.Command{
		Use: "show", Short: "Show a manifest",
		Example: "  acre manifest show --image app:v1\n  acre manifest show --image app:v1 --raw | sha256sum",
	}, &acc, func(ctx context.Context, img image) error {
		c, err := a.open(ctx, acc)
		if err != nil {
			return err
		}
		_, body, err := c.Manifest(ctx, img.repo, img.ref)
		if err != nil {
			return fmt.Errorf("show %s of %s: %w", img, c.Host(), err)
		}
		if raw {
			_, err = a.Stdout.Write(body)
			return err
		}
		return a.print(json.RawMessage(body))
	})
	cmd.Flags().BoolVar(&raw, "raw", false, "write the exact bytes that were pushed")
	return cmd
}

func (a *app) manifestListMetadata() *cobra.Command {
	var acc account
	var repo string
	var l listed
	cmd := &cobra.Command{
		Use: "list-metadata", Short: "List the manifests of a repository with what is known of them", Args: noArgs,
		Example: "  acre manifest list-metadata --repository app --orderby time_desc --top 10\n  acre manifest list-metadata --repository app --query \"[?!tags].digest\" -o tsv",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if err := need("repository", repo); err != nil {
				return err
			}
			if err := checkTop(cmd, l.top); err != nil {
				return err
			}
			c, err := a.open(ctx, acc)
			if err != nil {
				return err
			}
			list, err := infos(a, l, "manifests", func(l acr.Listing) ([]acr.ManifestInfo, bool, error) { return c.ManifestInfos(ctx, repo, l) },
				func(m acr.ManifestInfo) string { return string(m.Digest) })
			if err != nil {
				return fmt.Errorf("list the manifests of %s/%s: %w", c.Host(), repo, err)
			}
			return a.print(list)
		},
	}
	acc.flags(cmd)
	cmd.Flags().StringVar(&repo, "repository", "", "repository")
	l.flags(cmd)
	mustComplete(cmd, "repository", a.completeRepository(&acc))
	return cmd
}

// ofManifest is what img names by its digest, which a tag is resolved to.
func (a *app) ofManifest(ctx context.Context, acc account, img image) (ociclient.Of, error) {
	of := ociclient.Of{Repository: img.repo, Ref: img.ref}
	if img.ref.Digest != "" {
		return of, nil
	}
	c, err := a.open(ctx, acc)
	if err != nil {
		return of, err
	}
	found, err := c.Attributes(ctx, of) // and not a pull, which may be closed
	if err != nil {
		return of, fmt.Errorf("find %s in %s: %w", img, c.Host(), err)
	}
	var tag acr.TagInfo
	if err := json.Unmarshal(found, &tag); err != nil {
		return of, fmt.Errorf("read what %s tells of %s: %w", c.Host(), img, err)
	}
	of.Ref = oci.Ref{Digest: tag.Digest}
	return of, nil
}

func (a *app) manifestShowMetadata() *cobra.Command {
	var acc account
	return a.manifestVerb(&cobra.Command{
		Use: "show-metadata", Short: "Show what is known of a manifest",
		Example: "  acre manifest show-metadata --image app:v1",
	}, &acc, func(ctx context.Context, img image) error {
		of, err := a.ofManifest(ctx, acc, img)
		if err != nil {
			return err
		}
		return a.showAttributes(ctx, acc, of)
	})
}

func (a *app) manifestUpdateMetadata() *cobra.Command {
	var acc account
	var e enabling
	cmd := a.manifestVerb(&cobra.Command{
		Use: "update-metadata", Short: "Lock or unlock a manifest",
		Long:    "Close the manifest that --image names to being deleted, written, listed or read, or open it again. Its tags have flags of their own:\nacre repository update changes those.",
		Example: "  acre manifest update-metadata --image app:v1 --delete-enabled false",
	}, &acc, func(ctx context.Context, img image) error {
		of, err := a.ofManifest(ctx, acc, img)
		if err != nil {
			return err
		}
		return a.changeAttributes(ctx, acc, of, e)
	})
	e.flags(cmd)
	return cmd
}

func (a *app) manifestDelete() *cobra.Command {
	var acc account
	var yes, dry bool
	cmd := a.manifestVerb(&cobra.Command{
		Use: "delete", Short: "Delete a manifest with all of its tags",
		Example: "  acre manifest delete --image app@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a --yes",
	}, &acc, func(ctx context.Context, img image) error {
		c, err := a.open(ctx, acc)
		if err != nil {
			return err
		}
		return a.deleteImage(ctx, c, img.String(), yes, dry)
	})
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would be deleted, and delete nothing")
	return cmd
}

func (a *app) manifestListReferrers() *cobra.Command {
	var acc account
	var artifactType string
	cmd := a.manifestVerb(&cobra.Command{
		Use: "list-referrers", Short: "List what refers to a manifest as its subject: signatures, attestations, SBOMs",
		Example: "  acre manifest list-referrers --image app:v1 --artifact-type application/vnd.cncf.notary.signature",
	}, &acc, func(ctx context.Context, img image) error {
		c, err := a.open(ctx, acc)
		if err != nil {
			return err
		}
		subject, err := c.Resolve(ctx, img.repo, img.ref)
		if err != nil {
			return fmt.Errorf("find %s in %s: %w", img, c.Host(), err)
		}
		all := []oci.Descriptor{}
		for p := (oci.Page{Limit: pageSize}); ; p.After = string(all[len(all)-1].Digest) {
			page, err := c.Referrers(ctx, img.repo, subject.Digest, artifactType, p)
			if err != nil {
				return fmt.Errorf("list what refers to %s of %s: %w", img, c.Host(), err)
			}
			if all = append(all, page.Manifests...); !page.More || len(page.Manifests) == 0 {
				return a.print(map[string]any{"references": all})
			}
		}
	})
	cmd.Flags().StringVar(&artifactType, "artifact-type", "", "only referrers of this type")
	return cmd
}

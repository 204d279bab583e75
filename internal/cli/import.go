package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// importSettings are the flags of import.
type importSettings struct {
	ofRegistry
	source, from       string
	username, password string
	images, untagged   []string
	force, noWait      bool

	referrers bool
	platforms []string
}

func (a *app) importCommand() *cobra.Command {
	var set importSettings
	cmd := &cobra.Command{
		Use: "import", Short: "Copy images of another registry into a registry", Args: noArgs,
		Long: `Copy images of another registry into a registry. The server does it: no image passes this machine.

--source is host/repository:tag or host/repository@digest; with --registry, a registry of this installation by its name or
resource ID, it has no host. A * stands for more than one: app:* for all tags of a repository, app:v1.* for some,
team/* for all repositories below a name; they keep their tags.
Only blobs that the target does not have are moved. An import that is interrupted goes on by itself where it was.`,
		Example: `  acre import -n mainreg --source docker.io/library/alpine:3 -t alpine:3
  acre import -n mainreg --source teamreg.acre.localhost/app:v1 -t app:v1 -t app:stable --force
  acre import -n mainreg --source app@sha256:4355a4… --registry teamreg --repository app
  acre import -n mainreg --source ghcr.io/org/app:v1 -u robot -p $TOKEN --referrers --platform linux/amd64
  acre import -n mainreg --source 'registry.example.com/team/*' -t 'mirror/*'`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error { return set.run(ctx, p) }),
	}
	f := cmd.Flags()
	set.ofRegistry.flags(cmd, "name", "n")
	f.StringVar(&set.source, "source", "", "what to copy")
	f.StringArrayVarP(&set.images, "image", "t", nil, "what it is to be called here, as repository:tag; may be repeated (default as in the source)")
	f.StringArrayVar(&set.untagged, "repository", nil, "repository that gets it without a tag; may be repeated")
	f.StringVarP(&set.from, "registry", "r", "", "registry of this installation that it comes from, by name, login server or resource ID")
	f.StringVarP(&set.username, "username", "u", "", "user name at the source")
	f.StringVarP(&set.password, "password", "p", "", "password at the source; without a user name, an access token")
	f.BoolVar(&set.force, "force", false, "move tags that exist")
	f.BoolVar(&set.noWait, "no-wait", false, "do not wait for the end")
	f.BoolVar(&set.referrers, "referrers", false, "copy signatures, SBOMs and whatever else refers to the images, too")
	f.StringArrayVar(&set.platforms, "platform", nil, "of images for several platforms only this one, such as linux/amd64; may be repeated. The index is then a new one, with another digest")
	return cmd
}

// run asks for the import and waits for its end.
func (set *importSettings) run(ctx context.Context, p *plane) error {
	if set.source == "" {
		return fault.New(fault.Invalid, "what is to be copied? Give --source host/repository:tag, or --source repository:tag with --registry")
	}
	if set.username != "" && set.password == "" {
		return fault.New(fault.Invalid, "Authentication failed. Please provide password: --username needs --password")
	}
	target, err := p.registryID(ctx, set.ofRegistry)
	if err != nil {
		return err
	}
	source, err := set.origin(ctx, p)
	if err != nil {
		return err
	}
	images := set.images
	if len(images)+len(set.untagged) == 0 {
		name, _, _ := strings.Cut(text(source, "sourceImage"), "@")
		images = []string{name}
	}
	mode := "NoForce"
	if set.force {
		mode = "Force"
	}
	body := object{"source": source, "targetTags": images, "untaggedTargetRepositories": set.untagged, "mode": mode}
	if set.referrers || len(set.platforms) > 0 {
		body["acre"] = object{"referrers": set.referrers, "platforms": set.platforms}
	}
	resp, err := p.send(ctx, forManagement, http.MethodPost, withVersion(target+"/importImage", registryVersion), body)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if set.noWait {
		p.warn("the import goes on; since it is not waited for, whether it fails is not told")
		return nil
	}
	at, err := p.here(resp.Header.Get("Location"))
	if err != nil {
		return err
	}
	return p.imported(ctx, strings.Replace(at, "/operationResults/", "/operationResults/operationStatuses/", 1))
}

// importStatus is what the status of an import's operation says.
type importStatus struct {
	Status     string
	Error      struct{ Code, Message string }
	Properties struct {
		Progress struct{ Images, ImagesCopied, BytesDone, Bytes, BytesReceived int64 }
	}
}

// imported waits for the end of an import, and shows how far it is.
func (p *plane) imported(ctx context.Context, path string) error {
	bar := p.progress("Importing")
	defer bar.end()
	for {
		resp, err := p.send(ctx, forManagement, http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		var is importStatus
		err = decode(resp.Body, p.at.url.String(), &is)
		resp.Body.Close()
		if err != nil {
			return err
		}
		done := is.Properties.Progress
		switch is.Status {
		case "Succeeded":
			bar.end()
			return p.print(object{"images": done.Images, "bytes": done.Bytes, "bytesReceived": done.BytesReceived})
		case "Failed", "Canceled":
			return fault.New(importFailure(is.Error.Code), "(%s) %s", is.Error.Code, is.Error.Message)
		}
		if done.Images > 0 {
			bar.note(fmt.Sprintf("Importing, %s of %s, image", mebibytes(done.BytesDone), mebibytes(done.Bytes)))
		}
		bar.at(int(done.ImagesCopied), int(done.Images))
		if err := pause(ctx, retryAfter(resp, time.Second)); err != nil {
			return err
		}
	}
}

// importFailure is the kind of an import's error, which decides how the program ends.
func importFailure(code string) fault.Kind {
	switch {
	case strings.HasSuffix(code, "NotFound"):
		return fault.NotFound
	case code == "BadRequest":
		return fault.Invalid
	}
	return fault.Conflict
}

// mebibytes is a number of bytes as people read it.
func mebibytes(n int64) string {
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// origin is the source as the management API is told of it: a registry of the subscription by its ID, any other by its host.
func (set *importSettings) origin(ctx context.Context, p *plane) (object, error) {
	if set.from != "" {
		id := set.from
		if !strings.HasPrefix(id, "/") {
			var err error
			if id, err = p.registryID(ctx, ofRegistry{registry: set.from, subscription: set.subscription}); err != nil {
				return nil, err
			}
		}
		return object{"resourceId": id, "sourceImage": set.source}, nil
	}
	host, image, ok := strings.Cut(set.source, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return nil, fault.New(fault.Invalid, "--source %q does not begin with a registry's host: write host/%[1]s, or name the registry with --registry", set.source)
	}
	if set.password != "" {
		return object{"registryUri": host, "sourceImage": image, "credentials": object{"username": set.username, "password": set.password}}, nil
	}
	sub, err := p.subscription(set.subscription)
	if err != nil {
		return nil, err
	}
	all, err := p.listOf(ctx, "/subscriptions/"+sub+"/providers/"+arm.Provider+"/registries", registryVersion)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if strings.EqualFold(text(r, "loginServer"), host) {
			return object{"resourceId": text(r, "id"), "sourceImage": image}, nil
		}
	}
	return object{"registryUri": host, "sourceImage": image}, nil
}

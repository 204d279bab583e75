package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) buildCommand() *cobra.Command {
	var q quickRun
	var file, target string
	var images []string
	var noPush bool
	args := valueFlags{fromEnv: true}
	cmd := &cobra.Command{
		Use: "build SOURCE", Short: "Build an image in a registry", Args: sourceArg,
		Example: "  acre build -r mainreg -t app:v1 https://github.com/acme/app.git#main",
		RunE: func(cmd *cobra.Command, argv []string) error {
			return a.withPlane(func(ctx context.Context, p *plane) error {
				reg, err := p.registryID(ctx, q.of)
				if err != nil {
					return err
				}
				source, err := p.source(ctx, reg, argv[0])
				if err != nil {
					return err
				}
				request, err := q.request(ctx, p, "DockerBuildRequest", source)
				if err != nil {
					return err
				}
				request["dockerFilePath"], request["arguments"] = filepath.ToSlash(cmp.Or(file, "Dockerfile")), args.objects(a)
				for name, v := range given(object{"imageNames": images, "target": target}) {
					request[name] = v
				}
				if request["isPushEnabled"] = !noPush && len(images) > 0; !noPush && len(images) == 0 {
					a.warn("No --image is given: what is built is not pushed.")
				}
				return p.schedule(ctx, reg, request)
			})(cmd, argv)
		},
	}
	q.flags(cmd)
	f := cmd.Flags()
	f.StringArrayVarP(&images, "image", "t", nil, "name and tag of the image, such as app:{{.Run.ID}}; may repeat")
	f.StringVarP(&file, "file", "f", "", "Dockerfile in the source (default Dockerfile)")
	f.StringVar(&target, "target", "", "stage of the Dockerfile to build")
	f.StringArrayVar(&args.plain, "build-arg", nil, "build argument, as name=value, or as a name that the environment has; may repeat")
	f.StringArrayVar(&args.secret, "secret-build-arg", nil, "build argument that is kept secret; may repeat")
	f.BoolVar(&noPush, "no-push", false, "do not push the image")
	return cmd
}

func (a *app) packCommand() *cobra.Command {
	cmd := group("pack", "Build images with buildpacks", "")
	cmd.AddCommand(a.packBuild())
	return cmd
}

// packSeconds and packPushSeconds bound the two steps of a build with buildpacks.
const (
	packSeconds     = 28_800
	packPushSeconds = 1800
)

func (a *app) packBuild() *cobra.Command {
	var q quickRun
	var image, builder, tag string
	var pull bool
	cmd := &cobra.Command{
		Use: "build SOURCE", Short: "Build an image with buildpacks", Args: sourceArg,
		Example: "  acre pack build -r mainreg -t app:v1 --builder paketobuildpacks/builder:base https://github.com/acme/app.git",
		RunE: func(cmd *cobra.Command, argv []string) error {
			return a.withPlane(func(ctx context.Context, p *plane) error {
				switch {
				case image == "" || builder == "":
					return fault.New(fault.Invalid, "which image, built with what? Give --image and --builder")
				case q.platform != "" && !strings.HasPrefix(strings.ToLower(q.platform), "linux"):
					return fault.New(fault.Invalid, "buildpacks build on Linux alone, not on %s", q.platform)
				case strings.EqualFold(argv[0], noContext):
					return fault.New(fault.Invalid, "buildpacks need a source, not %s", noContext)
				}
				reg, err := p.registryID(ctx, q.of)
				if err != nil {
					return err
				}
				registry, err := p.get(ctx, reg, registryVersion)
				if err != nil {
					return err
				}
				source, err := p.source(ctx, reg, argv[0])
				if err != nil {
					return err
				}
				request, err := q.request(ctx, p, "EncodedTaskRunRequest", source)
				if err != nil {
					return err
				}
				if !strings.HasPrefix(image, "$Registry/") && !strings.HasPrefix(image, text(registry, "loginServer")+"/") {
					image = "$Registry/" + image
				}
				request["encodedTaskContent"] = base64.StdEncoding.EncodeToString([]byte(packTask(image, builder, tag, pull)))
				return p.schedule(ctx, reg, request)
			})(cmd, argv)
		},
	}
	q.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&image, "image", "t", "", "name and tag of the image")
	f.StringVarP(&builder, "builder", "b", "", "image of the builder")
	f.StringVar(&tag, "pack-image-tag", "stable", "tag of the image that holds pack, mcr.microsoft.com/oryx/pack")
	f.BoolVar(&pull, "pull", false, "pull the builder and the image that the result runs on before")
	return cmd
}

// packTask is the task file of a build with buildpacks.
func packTask(image, builder, tag string, pull bool) string {
	command := fmt.Sprintf("mcr.microsoft.com/oryx/pack:%s build %s --builder %s", tag, image, builder)
	if !pull {
		command += " --no-pull"
	}
	return fmt.Sprintf("version: v1.1.0\nsteps:\n  - cmd: %s --env REGISTRY_NAME=$Registry -p .\n    timeout: %d\n  - push: [%q]\n    timeout: %d\n",
		command, packSeconds, image, packPushSeconds)
}

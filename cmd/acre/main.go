// Command acre is the registry and its command line.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/acre-registry/acre/internal/cli"
	"github.com/acre-registry/acre/internal/serve"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	switch {
	case len(args) > 0 && args[0] == "serve":
		return serve.Main(args[1:], os.Environ(), cli.Version, os.Stdout, os.Stderr)
	case len(args) > 1 && args[0] == "config" && args[1] == "check":
		return serve.CheckConfig(args[2:], os.Environ(), os.Stdout, os.Stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return cli.Main(ctx, cli.Options{
		Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Offline: func(ctx context.Context, data string) (func(), error) {
			return serve.Offline(ctx, os.Environ(), data, cli.Version, os.Stderr)
		},
	})
}

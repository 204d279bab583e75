// Package cli is the command line: verbs and flags of az acr, over HTTP only. Whatever it can do, anyone with a
// client can; the verbs below admin speak to a server's own socket in its data directory.
//
// It reads flags and the environment, writes results to stdout (JSON, table, TSV or YAML) and everything else to
// stderr, and ends with an exit code that tells the kind of failure.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/acre-registry/acre/internal/fault"
)

// Options are one run's surroundings.
type Options struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Getenv looks up the environment; nil = os.Getenv.
	Getenv func(string) string
	// Offline opens the stores of a data directory on which no server runs, and serves its operator socket until
	// stop. nil = admin verbs need a running server.
	Offline func(ctx context.Context, dataDir string) (stop func(), err error)
}

// Main runs one command and returns the exit code.
func Main(ctx context.Context, o Options) int {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	a := &app{Options: o}
	root := a.root()
	root.SetArgs(joinWords(root, o.Args))
	root.SetIn(o.Stdin)
	root.SetOut(o.Stdout)
	root.SetErr(o.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	fmt.Fprintf(o.Stderr, "error: %v\n", err)
	kind := fault.KindOf(err)
	hint := hints[kind]
	switch {
	case a.signingIn:
		hint = "" // the token endpoint says what is wrong
		if strings.Contains(err.Error(), wrongPassword) {
			hint = "Where the owner's password is lost, acre admin reset-owner makes a new one on the server's machine."
		}
	case cmd.Name() == "login":
		hint = loginHints[kind]
	case a.signedIn:
		hint = planeHints[kind]
	}
	if hint != "" {
		fmt.Fprintln(o.Stderr, hint)
	}
	return exitCode(kind)
}

// wrongPassword is a token endpoint's number for it.
const wrongPassword = "AADSTS50126"

// app is one run: its surroundings and the flags that all verbs share.
type app struct {
	Options
	output    string
	query     string
	quiet     bool // only errors
	signedIn  bool // the verb asks as who is signed in
	signingIn bool // somebody signs in to the server
	server    string
	ca        string
	data      string
}

func (a *app) root() *cobra.Command {
	root := group("acre", "A container registry that anyone can run.", `A container registry that anyone can run: the command line.

Verbs and flags are those of az acr. NAME is a registry's name, or a login server as host[:port] or URL; without one
it is the default registry of the server at hand.

Which server that is: --server or $ACRE_SERVER, else the one running on the data directory, else localhost:5000
unless --data or $ACRE_DATA names a directory.
To start one: acre serve. To see its settings, and what is wrong with them: acre config check.
Credentials: --username and --password, else $ACRE_USERNAME and $ACRE_PASSWORD, else what docker's configuration or
its credential helpers hold for the login server, else who is signed in to the server. What is managed, such as tokens
and roles, is so as who is signed in: see acre login --help.

Exit codes: 0 done, 2 the input is not valid, 3 not found, 1 any other failure.`)
	root.Example = `  acre serve --dev
  acre login -u acre -p acre
  acre repository list
  acre repository show-tags --repository app --top 10
  acre repository delete --image app:v1 --dry-run`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.New(fault.Invalid, "%w; see %s --help", err, cmd.CommandPath())
	})
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkOutput() }

	f := root.PersistentFlags()
	f.StringVarP(&a.output, "output", "o", "", "json, table, tsv or yaml (default table on a terminal, else json)")
	f.StringVar(&a.query, "query", "", "JMESPath expression that selects from the result")
	f.BoolVar(&a.quiet, "only-show-errors", false, "no warnings and no progress")
	f.StringVar(&a.server, "server", "", "server to ask, as host[:port] or URL (default $ACRE_SERVER, else the one on the data directory)")
	f.StringVar(&a.ca, "ca", "", "file with certificates to trust besides the system's (default $ACRE_CA)")
	f.StringVar(&a.data, "data", "", "data directory (default $ACRE_DATA, else ./data)")
	mustComplete(root, "output", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"json", "table", "tsv", "yaml"}, cobra.ShellCompDirectiveNoFileComp
	})
	for _, part := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Log in:", []*cobra.Command{
			a.loginCommand(), a.logoutCommand(), a.accountCommand(), a.connectionCommand(), a.connectorCommand(), a.containerRegistryCommand(),
		}},
		{"Contents:", []*cobra.Command{a.repositoryCommand(), a.manifestCommand(), a.importCommand(), a.healthCommand()}},
		{"Registries:", []*cobra.Command{
			a.registryCreate(), a.registryList(), a.registryShow(), a.registryUpdate(), a.registryDelete(), a.registryCommand(), a.graphCommand(), a.checkNameCommand(), a.showUsageCommand(),
			a.showEndpointsCommand(), a.configCommand(), a.encryptionCommand(), a.keyVaultCommand(), a.privateEndpointCommand(), a.privateLinkCommand(), a.registryCredentialCommand(), a.tokenCommand(), a.scopeMapCommand(),
			a.networkRuleCommand(), a.accessRuleCommand(),
			a.webhookCommand(), a.replicationCommand(), a.cacheCommand(), a.credentialSetCommand(), a.connectedRegistryCommand(),
			a.exportPipelineCommand(), a.importPipelineCommand(), a.pipelineRunCommand(), a.domainCommand(),
		}},
		{"Tasks:", []*cobra.Command{a.taskCommand(), a.taskRunCommand(), a.agentPoolCommand(), a.buildCommand(), a.runCommand(), a.packCommand()}},
		{"Who may do what, and who did:", []*cobra.Command{
			a.roleCommand(), a.accessCommand(), a.adCommand(), a.identityCommand(), a.issuerCommand(), a.lockCommand(), a.tagCommand(), a.logCommand(), a.auditCommand(),
		}},
		{"The server, and this program:", []*cobra.Command{a.adminCommand(), a.devCommand(), a.versionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: part.title, Title: part.title})
		for _, cmd := range part.commands {
			cmd.GroupID = part.title
		}
		root.AddCommand(part.commands...)
	}
	return root
}

// group is a command that only holds others. An unknown one is an error that names what was likely meant.
func group(use, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return fault.New(fault.Invalid, "%s has no command %q%s See %s --help", cmd.CommandPath(), args[0], orDot(hint), cmd.CommandPath())
		},
	}
}

func orDot(hint string) string {
	if hint == "" {
		return "."
	}
	return hint
}

// noArgs refuses what is not a flag.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fault.New(fault.Invalid, "%s takes no argument %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// mustComplete sets a flag's completion; it fails only for a flag that does not exist.
func mustComplete(cmd *cobra.Command, flag string, fn cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, fn); err != nil {
		panic(err)
	}
}

// setting is a flag's value, else the environment's, else the default.
func (a *app) setting(flag, env, otherwise string) string {
	if flag != "" {
		return flag
	}
	if v := a.Getenv(env); v != "" {
		return v
	}
	return otherwise
}

func (a *app) dataDir() string { return a.setting(a.data, "ACRE_DATA", "data") }

// warn tells the user what is no error.
func (a *app) warn(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.Stderr, format+"\n", args...)
	}
}

// terminal is the file behind a stream that is a terminal.
func terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

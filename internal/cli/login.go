package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/ociclient"
)

func (a *app) loginCommand() *cobra.Command {
	var acc account
	var fromStdin, expose bool
	cmd := &cobra.Command{
		Use:   "login [NAME]",
		Short: "Log in to a registry, for acre and for docker",
		Long: `Check a user name and password against a registry, and keep them where docker does: in the credential helper that
docker's configuration names, else in that file. docker, podman, helm and oras then use them too.

With --expose-token nothing is kept: a refresh token is printed, to be used as the password of the user
` + acr.NullUser + `.`,
		Example: `  acre login -u acre
  acre login -n mainreg -u ci --password-stdin < password.txt
  acre login -n registry.example.com -u ci --expose-token --query accessToken -o tsv`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && acc.name != "" {
				return fault.New(fault.Invalid, "acre login takes one registry, as NAME or with --name")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				acc.name = args[0]
			}
			cred, err := a.askCredential(acc, fromStdin)
			if err != nil {
				return err
			}
			return a.login(cmd, acc.name, cred, expose)
		},
	}
	acc.flags(cmd)
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from stdin")
	cmd.Flags().BoolVarP(&expose, "expose-token", "t", false, "print a token instead of keeping the credentials")
	return cmd
}

func (a *app) login(cmd *cobra.Command, name string, cred ociclient.Credential, expose bool) error {
	t, err := a.target(name)
	if err != nil {
		return err
	}
	c, err := a.client(t, cred)
	if err != nil {
		return err
	}
	ch, err := c.Challenge(cmd.Context())
	if err != nil {
		return err
	}
	tok, err := c.Login(cmd.Context(), ch, cred)
	if err != nil {
		return fmt.Errorf("log in as %s: %w", cred.Username, err)
	}
	if expose {
		if tok.Refresh == "" {
			if tok.Refresh, err = c.Refresh(cmd.Context(), ch, cred); err != nil {
				return err
			}
		}
		return a.print(struct {
			AccessToken string `json:"accessToken"`
			LoginServer string `json:"loginServer"`
		}{tok.Refresh, t.Host()})
	}
	d := a.docker()
	plain, err := d.put(t.Host(), cred.Username, ociclient.Credential{Password: cred.Password, RefreshToken: tok.Refresh})
	if err != nil {
		return err
	}
	if plain {
		a.warn("warning: the credentials are in %s, readable by whoever reads your files; name a credential helper there as credsStore to keep them elsewhere", d.file)
	}
	a.warn("Logged in to %s as %s", t.Host(), cred.Username)
	return nil
}

// askCredential takes the credentials from flags, environment and stdin, and asks a terminal for what lacks.
func (a *app) askCredential(acc account, fromStdin bool) (ociclient.Credential, error) {
	user, password := a.setting(acc.user, "ACRE_USERNAME", ""), a.setting(acc.password, "ACRE_PASSWORD", "")
	if acc.password != "" {
		if fromStdin {
			return ociclient.Credential{}, fault.New(fault.Invalid, "--password and --password-stdin exclude each other")
		}
		a.warn("warning: a password on the command line can be seen by others on this machine; use --password-stdin")
	}
	if fromStdin {
		text, err := io.ReadAll(io.LimitReader(a.Stdin, 64<<10))
		if err != nil {
			return ociclient.Credential{}, fmt.Errorf("read the password from stdin: %w", err)
		}
		if password = strings.TrimRight(string(text), "\r\n"); password == "" {
			return ociclient.Credential{}, fault.New(fault.Invalid, "--password-stdin: stdin holds no password")
		}
	}
	var err error
	if user == "" && !fromStdin {
		if user, err = a.ask("Username: "); err != nil {
			return ociclient.Credential{}, err
		}
	}
	if user == "" {
		return ociclient.Credential{}, fault.New(fault.Invalid, "no user name: give --username")
	}
	if password == "" {
		if password, err = a.askHidden("Password: "); err != nil {
			return ociclient.Credential{}, err
		}
	}
	if password == "" {
		return ociclient.Credential{}, fault.New(fault.Invalid, "no password: give --password-stdin")
	}
	return ociclient.Credential{Username: user, Password: password}, nil
}

var errNoTerminal = fault.New(fault.Invalid, "there is no terminal to ask on: give --username, and the password with --password-stdin")

// ask reads a line from the terminal.
func (a *app) ask(prompt string) (string, error) {
	in, ok := terminal(a.Stdin)
	if !ok {
		return "", errNoTerminal
	}
	fmt.Fprint(a.Stderr, prompt)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// askHidden reads a line from the terminal without echo.
func (a *app) askHidden(prompt string) (string, error) {
	in, ok := terminal(a.Stdin)
	if !ok {
		return "", errNoTerminal
	}
	// The terminal falls silent before it asks: who types or pastes at once is not shown either.
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return "", fmt.Errorf("silence the terminal: %w", err)
	}
	screen := struct {
		io.Reader
		io.Writer
	}{in, a.Stderr}
	text, err := term.NewTerminal(screen, "").ReadPassword(prompt)
	if err := errors.Join(err, term.Restore(int(in.Fd()), before)); err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return text, nil
}

// confirm asks before something that cannot be undone.
func (a *app) confirm(question string) error {
	if _, ok := terminal(a.Stdin); !ok {
		return fault.New(fault.Invalid, "%s There is no terminal to ask on: give --yes, or --dry-run to see only", question)
	}
	answer, err := a.ask(question + " (y/n): ")
	if err != nil {
		return err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return fault.New(fault.Precondition, "nothing was deleted")
	}
	return nil
}

func (a *app) logoutCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:     "logout [NAME]",
		Short:   "Forget the credentials of a registry",
		Long:    "Remove a registry's credentials from docker's configuration and from the credential helper that it names.",
		Example: "  acre logout\n  acre logout -n mainreg",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && name != "" {
				return fault.New(fault.Invalid, "acre logout takes one registry, as NAME or with --name")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				name = args[0]
			}
			t, err := a.target(name)
			if err != nil {
				return err
			}
			found, err := a.docker().remove(t.Host())
			if err == nil && !found {
				a.warn("Not logged in to %s", t.Host())
			} else if err == nil {
				a.warn("Logged out of %s", t.Host())
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&name, "name", "n", "", "registry: a name, host[:port] or URL (default the server's default registry)")
	return cmd
}

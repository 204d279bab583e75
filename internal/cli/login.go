package cli

import (
	"bufio"
	"context"
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

// loginFlags are the flags of login besides the registry's.
type loginFlags struct {
	account
	fromStdin, expose bool
	asked             *ociclient.Credential // what was asked already
	signInFlags
}

const loginHelp = `Log in to a registry, or sign in to the server.

To a registry, for acre and for docker: check a user name and password, and keep them where docker does: in the
credential helper that docker's configuration names, else in that file. docker, podman, helm and oras then use them too.
Without a user name, who is signed in to the server gets a login of the registry. With --expose-token nothing is kept:
a refresh token is printed, to be used as the password of the user
` + acr.NullUser + `.

To the server, as az login does, for the verbs that manage it (token, scope-map, role, ad, identity …): as a service
principal with a secret, a certificate or another issuer's token; as a managed identity; as a user with a code to type
into a browser, or with a password. These flags choose it: --service-principal, --certificate, --federated-token,
--identity, --use-device-code, --tenant. A user name with an @ does too where no registry is named.

A managed identity's token comes from $IDENTITY_ENDPOINT with $IDENTITY_HEADER, else from
$AZURE_POD_IDENTITY_AUTHORITY_HOST, else from the server. What signs in is kept in profile.json, readable by you alone,
in $ACRE_CONFIG_DIR, else in acre below $XDG_CONFIG_HOME or ~/.config.`

const loginExample = `  acre login -u acre
  acre login -n mainreg -u ci --password-stdin < password.txt
  acre login -n mainreg --expose-token --query refreshToken -o tsv
  acre login --service-principal -u APP_ID -p SECRET --tenant TENANT
  acre login --service-principal -u APP_ID --certificate key-and-certificate.pem
  acre login --service-principal -u APP_ID --federated-token "$TOKEN"
  acre login --use-device-code
  acre login --identity --client-id CLIENT_ID
  acre login -u owner@acre.localhost --password-stdin < password.txt`

func (a *app) loginCommand() *cobra.Command {
	var l loginFlags
	cmd := &cobra.Command{
		Use: "login [NAME]", Short: "Log in to a registry, or sign in to the server", Long: loginHelp, Example: loginExample,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && l.name != "" {
				return fault.New(fault.Invalid, "acre login takes one registry, as NAME or with --name")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				l.name = args[0]
			}
			if l.signsIn() {
				return a.signIn(cmd.Context(), l)
			}
			return a.logIn(cmd.Context(), l)
		},
	}
	l.account.flags(cmd)
	cmd.Flags().BoolVar(&l.fromStdin, "password-stdin", false, "read the password from stdin")
	cmd.Flags().BoolVarP(&l.expose, "expose-token", "t", false, "print a token instead of keeping the credentials")
	l.signInFlags.flags(cmd)
	return cmd
}

// logIn logs in to a registry, by name and password or as who is signed in; a user of the directory who names no
// registry signs in instead.
func (a *app) logIn(ctx context.Context, l loginFlags) error {
	if l.connection != "" {
		t, cred, err := a.reach(ctx, l.account)
		if err != nil {
			return err
		}
		return a.login(ctx, t, cred, l.expose)
	}
	t, err := a.target(l.name)
	if err != nil {
		return err
	}
	if a.setting(l.user, "ACRE_USERNAME", "") == "" && !l.fromStdin {
		p, err := a.signedInFor(t)
		if err != nil {
			return err
		}
		if p != nil {
			return a.logInSigned(ctx, p, t, l.expose)
		}
	}
	cred, err := a.askCredential(l)
	if err != nil {
		return err
	}
	if l.name == "" && strings.Contains(cred.Username, "@") {
		l.asked = &cred
		return a.signIn(ctx, l)
	}
	return a.login(ctx, t, cred, l.expose)
}

func (a *app) login(ctx context.Context, t target, cred ociclient.Credential, expose bool) error {
	c, err := a.client(t, cred)
	if err != nil {
		return err
	}
	ch, err := c.Challenge(ctx)
	if err != nil {
		return err
	}
	tok, err := c.Login(ctx, ch, cred)
	if err != nil {
		return fmt.Errorf("log in as %s: %w", cred.Username, err)
	}
	if expose {
		if tok.Refresh == "" {
			if tok.Refresh, err = c.Refresh(ctx, ch, cred); err != nil {
				return err
			}
		}
		return a.exposeToken(t, tok.Refresh)
	}
	return a.keepLogin(t, cred.Username, ociclient.Credential{Password: cred.Password, RefreshToken: tok.Refresh})
}

// logInSigned logs in to a registry as who is signed in to its server.
func (a *app) logInSigned(ctx context.Context, p *plane, t target, expose bool) error {
	refresh, err := p.exchange(ctx, t)
	if err != nil {
		return fmt.Errorf("log in to %s as %s: %w", t.Host(), p.who.Name, err)
	}
	if expose {
		return a.exposeToken(t, refresh)
	}
	return a.keepLogin(t, acr.NullUser, ociclient.Credential{RefreshToken: refresh})
}

// exposeToken prints a refresh token under both names that az gives it.
func (a *app) exposeToken(t target, refresh string) error {
	a.warn("Note: this is a refresh token, under both names. Use it as the password of the user %s, for example\n"+
		"docker login %s -u %s --password-stdin", acr.NullUser, t.Host(), acr.NullUser)
	return a.print(struct {
		AccessToken  string `json:"accessToken"`
		LoginServer  string `json:"loginServer"`
		RefreshToken string `json:"refreshToken"`
		Username     string `json:"username"`
	}{refresh, t.Host(), refresh, acr.NullUser})
}

// keepLogin keeps credentials where docker does.
func (a *app) keepLogin(t target, user string, cred ociclient.Credential) error {
	d := a.docker()
	plain, err := d.put(t.Host(), user, cred)
	if err != nil {
		return err
	}
	if plain {
		a.warn("warning: the credentials are in %s, readable by whoever reads your files; name a credential helper there as credsStore to keep them elsewhere", d.file)
	}
	a.warn("Logged in to %s as %s", t.Host(), user)
	return nil
}

// askCredential takes the credentials from flags, environment and stdin, and asks a terminal for what lacks.
func (a *app) askCredential(l loginFlags) (ociclient.Credential, error) {
	if l.asked != nil {
		return *l.asked, nil
	}
	user, password := a.setting(l.user, "ACRE_USERNAME", ""), a.setting(l.password, "ACRE_PASSWORD", "")
	if l.password != "" {
		if l.fromStdin {
			return ociclient.Credential{}, fault.New(fault.Invalid, "--password and --password-stdin exclude each other")
		}
		a.warn("warning: a password on the command line can be seen by others on this machine; use --password-stdin")
	}
	var err error
	if l.fromStdin {
		if password, err = a.passwordFromStdin(); err != nil {
			return ociclient.Credential{}, err
		}
	}
	if user == "" && !l.fromStdin {
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

// passwordFromStdin reads all of stdin but the line's end.
func (a *app) passwordFromStdin() (string, error) {
	text, err := io.ReadAll(io.LimitReader(a.Stdin, 64<<10))
	if err != nil {
		return "", fmt.Errorf("read the password from stdin: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", fault.New(fault.Invalid, "--password-stdin: stdin holds no password")
	}
	return password, nil
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

// confirm asks before something that cannot be undone; remedy is what to do where there is nobody to ask.
func (a *app) confirm(question, remedy string) error {
	if _, ok := terminal(a.Stdin); !ok {
		return fault.New(fault.Invalid, "%s There is no terminal to ask on: %s", question, remedy)
	}
	answer, err := a.ask(question + " (y/n): ")
	if err != nil {
		return err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return fault.New(fault.Precondition, "nothing was done")
	}
	return nil
}

const logoutHelp = `Remove a registry's credentials from docker's configuration and from the credential helper that it names. Where no
registry is named, it is the default one, and who is signed in to the server is signed out.`

func (a *app) logoutCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "logout [NAME]", Short: "Forget the credentials of a registry, and who is signed in", Long: logoutHelp,
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
			if name == "" {
				if err := a.signOut(); err != nil {
					return err
				}
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

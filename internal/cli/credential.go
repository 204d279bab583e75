package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/ociclient"
)

// account is how a verb is told which registry, and as whom.
type account struct {
	name, user, password string
	connection           string // in place of all three
}

func (acc *account) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&acc.name, "name", "n", "", "registry: a name, host[:port] or URL (default the server's default registry)")
	f.StringVarP(&acc.user, "username", "u", "", "user name (default $ACRE_USERNAME, else docker's configuration)")
	f.StringVar(&acc.connection, "connection", "", "connection that says which registry, and how to log in; see acre connection --help")
	f.StringVarP(&acc.password, "password", "p", "", "password (default $ACRE_PASSWORD, else docker's configuration)")
}

// given are the credentials of flags and environment. Half of them is an error.
func (a *app) given(acc account) (ociclient.Credential, bool, error) {
	user, password := a.setting(acc.user, "ACRE_USERNAME", ""), a.setting(acc.password, "ACRE_PASSWORD", "")
	if (user == "") != (password == "") {
		return ociclient.Credential{}, false, fault.New(fault.Invalid,
			"a user name and a password belong together: give --username and --password, or $ACRE_USERNAME and $ACRE_PASSWORD")
	}
	return ociclient.Credential{Username: user, Password: password}, user != "", nil
}

// credential is what a verb uses at a registry: what was given, else docker's, else that of who is signed in to the
// server, else none.
func (a *app) credential(ctx context.Context, acc account, t target) (ociclient.Credential, error) {
	cred, ok, err := a.given(acc)
	if err != nil || ok {
		return cred, err
	}
	if cred, err = a.docker().get(t.Host()); err != nil || cred != (ociclient.Credential{}) {
		return cred, err
	}
	p, err := a.signedInFor(t)
	if err != nil || p == nil {
		return cred, err
	}
	if cred.RefreshToken, err = p.exchange(ctx, t); err != nil {
		return cred, fmt.Errorf("use %s as %s: %w", t.Host(), p.who.Name, err)
	}
	return cred, nil
}

// open makes the client of a verb.
func (a *app) open(ctx context.Context, acc account) (*ociclient.Client, error) {
	t, cred, err := a.reach(ctx, acc)
	if err != nil {
		return nil, err
	}
	return a.client(t, cred)
}

// reach finds a verb's registry and what to use there.
func (a *app) reach(ctx context.Context, acc account) (target, ociclient.Credential, error) {
	if acc.connection != "" {
		if acc.name != "" || acc.user != "" || acc.password != "" {
			return target{}, ociclient.Credential{}, fault.New(fault.Invalid, "--connection says which registry, and as whom: it excludes --name, --username and --password")
		}
		return a.connect(ctx, acc.connection)
	}
	t, err := a.target(acc.name)
	if err != nil {
		return t, ociclient.Credential{}, err
	}
	cred, err := a.credential(ctx, acc, t)
	return t, cred, err
}

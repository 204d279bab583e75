package cli

import (
	"cmp"
	"context"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

// signInFlags choose how somebody signs in to the server.
type signInFlags struct {
	service, identity, deviceCode, sendChain, nothing bool
	tenant, certificate, federated, subscription      string
	clientID, objectID, resourceID                    string // of managed identities
}

func (s *signInFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&s.service, "service-principal", false, "sign in to the server as a service principal, whose client ID is the user name")
	f.StringVar(&s.tenant, "tenant", "", "sign in to this tenant (default the server's)")
	f.StringVar(&s.certificate, "certificate", "", "PEM file with the private key and certificate of the service principal")
	f.BoolVar(&s.sendChain, "use-cert-sn-issuer", false, "send the certificate along, so that it may be renewed under its name")
	f.StringVar(&s.federated, "federated-token", "", "token of another issuer that the service principal trusts")
	f.BoolVar(&s.deviceCode, "use-device-code", false, "sign in to the server as a user, by a code to type into a browser")
	f.BoolVarP(&s.identity, "identity", "i", false, "sign in to the server as a managed identity")
	f.StringVar(&s.clientID, "client-id", "", "client ID of the managed identity")
	f.StringVar(&s.objectID, "object-id", "", "object ID of the managed identity")
	f.StringVar(&s.resourceID, "resource-id", "", "resource ID of the managed identity")
	f.StringVarP(&s.subscription, "subscription", "s", "", "subscription to work on by default, by ID or name")
	f.BoolVar(&s.nothing, "allow-no-subscriptions", false, "sign in though the account may read no subscription")
}

// signsIn tells whether the flags are about the server, not about a registry.
func (s *signInFlags) signsIn() bool {
	return s.service || s.identity || s.deviceCode || s.tenant+s.certificate+s.federated+s.clientID+s.objectID+s.resourceID != ""
}

// checkSignIn refuses flags that contradict one another.
func (l *loginFlags) checkSignIn() error {
	l.service = l.service || l.certificate != "" || l.federated != ""
	l.identity = l.identity || l.clientID+l.objectID+l.resourceID != ""
	secret := l.password != "" || l.fromStdin
	switch {
	case l.name != "":
		return fault.New(fault.Invalid, "these flags sign in to the server, and %q is a registry: sign in first, then acre login -n %s", l.name, l.name)
	case l.expose:
		return fault.New(fault.Invalid, "--expose-token is about a registry, and the other flags sign in to the server: sign in first, then acre login -n NAME --expose-token")
	case count(l.service, l.identity, l.deviceCode) > 1:
		return fault.New(fault.Invalid, "--service-principal, --identity and --use-device-code exclude one another")
	case (l.identity || l.deviceCode) && (secret || l.user != ""):
		return fault.New(fault.Invalid, "--identity and --use-device-code take no --username and no password")
	case count(l.clientID != "", l.objectID != "", l.resourceID != "") > 1:
		return fault.New(fault.Invalid, "--client-id, --object-id and --resource-id exclude one another")
	case count(l.certificate != "", l.federated != "", secret) > 1:
		return fault.New(fault.Invalid, "a service principal has a password, --certificate or --federated-token: give one")
	}
	return nil
}

func count(given ...bool) (n int) {
	for _, g := range given {
		if g {
			n++
		}
	}
	return n
}

// signIn signs in to the server and keeps what did.
func (a *app) signIn(ctx context.Context, l loginFlags) error {
	a.signingIn = true
	if err := l.checkSignIn(); err != nil {
		return err
	}
	at, client, err := a.httpClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	if at.url.Scheme == "http" && !isLoopback(at) {
		a.warn("warning: %s is plain HTTP, and whoever is on the way can read what signs in", at.url)
	}
	prof, err := a.profile()
	if err != nil {
		return err
	}
	p := &plane{app: a, at: at, http: client, profile: prof}
	is := &issuer{a, at, client}
	var got tokens
	if p.who, got, err = a.authenticate(ctx, is, l); err != nil {
		return err
	}
	c := claimsOf(got.Access)
	p.who.Tenant = cmp.Or(c.Tenant, p.who.Tenant)
	p.who.Name = cmp.Or(p.who.Name, c.UPN, c.Name, c.AppID)
	p.who.keep(forManagement, got, time.Now())
	prof.SignIns[at.url.String()] = p.who
	if p.who.Subscriptions, err = p.subscriptions(ctx); err != nil {
		return err
	}
	if len(p.who.Subscriptions) == 0 && !l.nothing {
		return fault.New(fault.Denied, "%s may read no subscription: assign it a role, or give --allow-no-subscriptions", p.who.Name)
	}
	if err := p.choose(l.subscription); err != nil {
		return err
	}
	if err := prof.save(); err != nil {
		return err
	}
	return show(a, p.who.accounts(), accountRow)
}

// isLoopback tells whether a server is on this machine.
func isLoopback(t target) bool {
	host, _, _ := net.SplitHostPort(cmp.Or(t.dial, withPort(*t.url)))
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// authenticate gets the first token, of the management API.
func (a *app) authenticate(ctx context.Context, is *issuer, l loginFlags) (who *signIn, got tokens, err error) {
	if l.identity {
		who = &signIn{Kind: byIdentity, Identity: map[string]string{}}
		for parameter, v := range map[string]string{"client_id": l.clientID, "object_id": l.objectID, "msi_res_id": l.resourceID} {
			if v != "" {
				who.Identity[parameter] = v
			}
		}
		got, err = is.managed(ctx, who, forManagement)
		return who, got, err
	}
	if l.service {
		return a.authenticateService(ctx, is, l)
	}
	who = &signIn{Kind: byUser, ClientID: publicClient, Tenant: cmp.Or(l.tenant, anyTenant)}
	if l.deviceCode {
		got, err = is.device(ctx, who.Tenant)
		return who, got, err
	}
	cred, err := a.askCredential(l)
	if err != nil {
		return nil, got, err
	}
	who.Name = cred.Username
	got, err = is.grant(ctx, who.Tenant, url.Values{
		"grant_type": {"password"}, "client_id": {publicClient}, "username": {cred.Username}, "password": {cred.Password},
		"scope": {forManagement + "/.default" + userScopes},
	})
	return who, got, err
}

func (a *app) authenticateService(ctx context.Context, is *issuer, l loginFlags) (who *signIn, got tokens, err error) {
	who = &signIn{Kind: byService, Tenant: l.tenant, SendChain: l.sendChain, Assertion: l.federated}
	switch {
	case l.certificate != "":
		if who.Certificate, err = filepath.Abs(l.certificate); err != nil {
			return nil, got, err
		}
		fallthrough
	case l.federated != "":
		who.ClientID = a.setting(l.user, "ACRE_USERNAME", "")
	default:
		cred, err := a.askCredential(l)
		if err != nil {
			return nil, got, err
		}
		who.ClientID, who.Secret = cred.Username, cred.Password
	}
	if who.ClientID == "" {
		return nil, got, fault.New(fault.Invalid, "which service principal? Give its client ID as --username")
	}
	if who.Tenant == "" {
		if who.Tenant, err = is.tenantHere(ctx); err != nil {
			return nil, got, err
		}
	}
	who.Name = who.ClientID
	got, err = is.redeem(ctx, who, forManagement)
	return who, got, err
}

// subscriptions are those that the account may read.
func (p *plane) subscriptions(ctx context.Context) ([]subscription, error) {
	list, err := p.list(ctx, forManagement, withVersion("/subscriptions", subscriptionVersion))
	if err != nil {
		return nil, err
	}
	out := []subscription{}
	for _, s := range list {
		out = append(out, subscription{
			ID: text(s, "subscriptionId"), Name: text(s, "displayName"), State: cmp.Or(text(s, "state"), "Enabled"), TenantID: cmp.Or(text(s, "tenantId"), p.who.Tenant),
		})
	}
	return out, nil
}

// choose makes a subscription the default one, the first where none is named.
func (p *plane) choose(name string) error {
	for _, s := range p.who.Subscriptions {
		if name == "" || strings.EqualFold(s.ID, name) || s.Name == name {
			p.who.Subscription = s.ID
			return nil
		}
	}
	if name == "" {
		p.who.Subscription = ""
		return nil
	}
	return fault.New(fault.NotFound, "%s may read no subscription %q; acre account list shows which", p.who.Name, name)
}

// text is a member of an object that is a string; "" where it is not.
func text(o object, path ...string) string {
	v := member(o, path...)
	s, _ := v.(string)
	return s
}

// member is what lies on a path of members; nil where nothing does.
func member(o object, path ...string) any {
	var v any = o
	for _, name := range path {
		m, _ := v.(object)
		v = m[name]
	}
	return v
}

// shownAccount is a subscription with who is signed in, as az shows it.
type shownAccount struct {
	CloudName    string    `json:"cloudName,omitempty"`
	Environment  string    `json:"environmentName,omitempty"` // the same, as show calls it
	HomeTenantID string    `json:"homeTenantId"`
	ID           string    `json:"id"`
	IsDefault    bool      `json:"isDefault"`
	Name         string    `json:"name"`
	Server       string    `json:"server,omitempty"`
	State        string    `json:"state"`
	TenantID     string    `json:"tenantId"`
	User         shownUser `json:"user"`
}

type shownUser struct {
	AssignedIdentityInfo string `json:"assignedIdentityInfo,omitempty"`
	Name                 string `json:"name"`
	Type                 string `json:"type"`
}

// cloudName is what az calls the environment; acre's own has no other.
const cloudName = "Acre"

// accounts are the subscriptions of the account; one that may read none has its tenant instead, as with az.
func (s *signIn) accounts() []shownAccount {
	user := shownUser{Name: s.Name, Type: s.Kind}
	if s.Kind == byIdentity {
		user = shownUser{AssignedIdentityInfo: "MSI", Name: "systemAssignedIdentity", Type: byService}
		for _, kind := range []struct{ parameter, info string }{
			{"client_id", "MSIClient-"}, {"object_id", "MSIObject-"}, {"msi_res_id", "MSIResource-"},
		} {
			if v := s.Identity[kind.parameter]; v != "" {
				user.AssignedIdentityInfo, user.Name = kind.info+v, "userAssignedIdentity"
			}
		}
	}
	if len(s.Subscriptions) == 0 {
		return []shownAccount{{
			CloudName: cloudName, HomeTenantID: s.Tenant, ID: s.Tenant, IsDefault: true, Name: "N/A(tenant level account)", State: "Enabled",
			TenantID: s.Tenant, User: user,
		}}
	}
	out := []shownAccount{}
	for _, sub := range s.Subscriptions {
		out = append(out, shownAccount{
			CloudName: cloudName, HomeTenantID: sub.TenantID, ID: sub.ID, IsDefault: sub.ID == s.Subscription, Name: sub.Name, State: sub.State,
			TenantID: sub.TenantID, User: user,
		})
	}
	return out
}

func accountRow(acc shownAccount) any {
	return struct {
		Name, CloudName string
		ID              string `json:"SubscriptionId"`
		TenantID        string `json:"TenantId"`
		State           string
		IsDefault       bool
	}{acc.Name, acc.CloudName, acc.ID, acc.TenantID, acc.State, acc.IsDefault}
}

// signOut forgets who is signed in to the server at hand.
func (a *app) signOut() error {
	at, err := a.serverURL()
	if err != nil {
		return err
	}
	prof, err := a.profile()
	if err != nil {
		return err
	}
	who := prof.SignIns[at.url.String()]
	if who == nil {
		return nil
	}
	delete(prof.SignIns, at.url.String())
	if err := prof.save(); err != nil {
		return err
	}
	a.warn("Signed out %s of %s", who.Name, at.url)
	return nil
}

// signedInFor is who is signed in at the server that serves a registry; nil for nobody. No other server is sent a token.
func (a *app) signedInFor(t target) (*plane, error) {
	prof, err := a.profile()
	if err != nil || len(prof.SignIns) == 0 {
		return nil, err
	}
	at, client, err := a.httpClient()
	if err != nil {
		return nil, err
	}
	who := prof.SignIns[at.url.String()]
	same := cmp.Or(t.dial, withPort(*t.url)) == cmp.Or(at.dial, withPort(*at.url)) && t.url.Scheme == at.url.Scheme
	below := t.url.Scheme == "https" && at.url.Scheme == "https" && portOf(*t.url) == portOf(*at.url) &&
		strings.HasSuffix(t.url.Hostname(), "."+at.url.Hostname())
	if who == nil || !same && !below {
		return nil, nil
	}
	return &plane{app: a, at: at, http: client, profile: prof, who: who}, nil
}

// exchange gets a refresh token of a registry for who is signed in.
func (p *plane) exchange(ctx context.Context, t target) (string, error) {
	token, err := p.token(ctx, forRegistry)
	if err != nil {
		return "", err
	}
	tr, err := p.transport(t)
	if err != nil {
		return "", err
	}
	defer tr.CloseIdleConnections()
	client := *p.http
	client.Transport = tr
	var got tokens
	is := &issuer{p.app, t, &client}
	err = is.post(ctx, t.url.String()+"/oauth2/exchange", url.Values{
		"grant_type": {"access_token"}, "service": {t.Host()}, "tenant": {p.who.Tenant}, "access_token": {token},
	}, &got)
	if err == nil && got.Refresh == "" {
		err = fault.New(fault.Upstream, "the registry %s answered without a refresh token", t.Host())
	}
	return got.Refresh, err
}

func (a *app) accountCommand() *cobra.Command {
	cmd := group("account", "Who is signed in to the server", "")
	cmd.AddCommand(a.accountShow(), a.accountList(), a.accountSet(), a.accountClear(), a.accountToken())
	return cmd
}

func (a *app) accountShow() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "show", Short: "Show who is signed in, and the subscription worked on", Args: noArgs, Example: "  acre account show --query user.name -o tsv",
		RunE: a.withPlane(func(_ context.Context, p *plane) error {
			if name != "" {
				if err := p.choose(name); err != nil {
					return err
				}
			}
			for _, acc := range p.who.accounts() {
				if acc.IsDefault {
					acc.CloudName, acc.Environment = "", acc.CloudName
					return a.print(acc)
				}
			}
			return fault.New(fault.NotFound, "no subscription is chosen: run acre account set --subscription NAME")
		}),
	}
	subscriptionFlag(cmd, &name)
	return cmd
}

func subscriptionFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVarP(name, "subscription", "s", "", "subscription, by ID or name (default the one of acre account show)")
}

func (a *app) accountList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List who is signed in at which server, with the subscriptions", Args: noArgs, Example: "  acre account list -o table",
		RunE: func(*cobra.Command, []string) error {
			prof, err := a.profile()
			if err != nil {
				return err
			}
			all := []shownAccount{}
			for _, server := range slices.Sorted(maps.Keys(prof.SignIns)) {
				for _, acc := range prof.SignIns[server].accounts() {
					acc.Server = server
					all = append(all, acc)
				}
			}
			if len(all) == 0 {
				a.warn("Nobody is signed in: run acre login --service-principal, --use-device-code or another way of acre login --help")
			}
			return show(a, all, accountRow)
		},
	}
}

func (a *app) accountSet() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "set", Short: "Choose the subscription to work on", Args: noArgs, Example: "  acre account set --subscription acre",
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return fault.New(fault.Invalid, "which subscription? Give --subscription; acre account list shows them")
			}
			return a.withPlane(func(_ context.Context, p *plane) error {
				if err := p.choose(name); err != nil {
					return err
				}
				return p.profile.save()
			})(cmd, args)
		},
	}
	subscriptionFlag(cmd, &name)
	return cmd
}

func (a *app) accountClear() *cobra.Command {
	return &cobra.Command{
		Use: "clear", Short: "Sign out everywhere", Args: noArgs, Example: "  acre account clear",
		RunE: func(*cobra.Command, []string) error {
			prof, err := a.profile()
			if err != nil {
				return err
			}
			clear(prof.SignIns)
			return prof.save()
		},
	}
}

// resourceTypes are short names of resources, as az's.
var resourceTypes = map[string]string{"arm": forManagement, "ms-graph": forGraph, "acr": forRegistry}

func (a *app) accountToken() *cobra.Command {
	var resource, kind string
	var scopes []string
	cmd := &cobra.Command{
		Use: "get-access-token", Short: "Print an access token of who is signed in", Args: noArgs,
		Example: "  acre account get-access-token --query accessToken -o tsv\n  acre account get-access-token --resource-type ms-graph",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			what, err := resourceOf(resource, kind, scopes)
			if err != nil {
				return err
			}
			token, err := p.token(ctx, what)
			if err != nil {
				return err
			}
			end := p.who.Tokens[what].Expires
			return a.print(struct {
				AccessToken  string `json:"accessToken"`
				ExpiresLocal string `json:"expiresOn"`
				ExpiresOn    int64  `json:"expires_on"`
				Subscription string `json:"subscription,omitempty"`
				Tenant       string `json:"tenant"`
				TokenType    string `json:"tokenType"`
			}{token, end.Local().Format("2006-01-02 15:04:05.000000"), end.Unix(), p.who.Subscription, p.who.Tenant, "Bearer"})
		}),
	}
	cmd.Flags().StringVar(&resource, "resource", "", "what the token is for, as a URL (default "+forManagement+")")
	cmd.Flags().StringVar(&kind, "resource-type", "", "what the token is for: arm, ms-graph or acr")
	cmd.Flags().Var(words{&scopes}, "scope", "what the token is for, as a scope such as "+forGraph+"/.default")
	return cmd
}

// resourceOf is what a token is to be for, said in one of three ways.
func resourceOf(resource, kind string, scopes []string) (string, error) {
	if count(resource != "", kind != "", len(scopes) > 0) > 1 || len(scopes) > 1 {
		return "", fault.New(fault.Invalid, "a token is for one resource: give --resource, --resource-type or one --scope")
	}
	switch {
	case kind != "":
		if resource = resourceTypes[kind]; resource == "" {
			return "", fault.New(fault.Invalid, "--resource-type is arm, ms-graph or acr, not %q", kind)
		}
	case len(scopes) == 1:
		var found bool
		if resource, found = strings.CutSuffix(scopes[0], "/.default"); !found {
			return "", fault.New(fault.Invalid, "--scope ends in /.default, and %q does not", scopes[0])
		}
	}
	return cmp.Or(resource, forManagement), nil
}

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := group("token", "Logins of a registry with generated passwords, bound to a scope map", "")
	cmd.AddCommand(a.tokenCreate(), a.tokenUpdate(), a.tokenShow(), a.tokenList(), a.tokenDelete(), a.tokenCredentialCommand())
	return cmd
}

// ofToken is how a verb is told which token.
type ofToken struct {
	ofRegistry
	name string
}

func (of *ofToken) flags(cmd *cobra.Command) {
	of.ofRegistry.flags(cmd, "registry", "r")
	cmd.Flags().StringVarP(&of.name, "name", "n", "", "token")
}

// id is the token's resource ID, and that of its registry.
func (of *ofToken) id(ctx context.Context, p *plane) (token, reg string, err error) {
	if err := childName("name", of.name); err != nil {
		return "", "", err
	}
	reg, err = p.registryID(ctx, of.ofRegistry)
	return reg + "/tokens/" + of.name, reg, err
}

// tokenRow has the columns of az's table; a password that is not there has no expiry.
func tokenRow(o object) any {
	end := map[string]string{}
	list, _ := member(o, "credentials", "passwords").([]any)
	for _, item := range list {
		if pw, ok := item.(object); ok {
			end[text(pw, "name")] = endOf(pw)
		}
	}
	status := text(o, "status")
	if status != "" {
		status = strings.ToUpper(status[:1]) + status[1:]
	}
	return struct {
		Name     string `json:"NAME"`
		ScopeMap string `json:"SCOPE MAP"`
		End1     string `json:"PASSWORD1 EXPIRY"`
		End2     string `json:"PASSWORD2 EXPIRY"`
		Status   string `json:"STATUS"`
		State    string `json:"PROVISIONING STATE"`
		Created  string `json:"CREATION DATE"`
	}{text(o, "name"), lastPart(text(o, "scopeMapId")), end["password1"], end["password2"], status, text(o, "provisioningState"), moment(text(o, "creationDate"))}
}

func endOf(password object) string {
	if end := text(password, "expiry"); end != "" {
		return moment(end)
	}
	return "Never"
}

// passwordsRow has the columns of az's table of generated credentials.
func passwordsRow(o object) any {
	row := struct {
		Username string `json:"USERNAME"`
		First    string `json:"PASSWORD1,omitempty"`
		End1     string `json:"PASSWORD1 EXPIRY,omitempty"`
		Second   string `json:"PASSWORD2,omitempty"`
		End2     string `json:"PASSWORD2 EXPIRY,omitempty"`
	}{Username: text(o, "username")}
	list, _ := o["passwords"].([]any)
	for _, item := range list {
		pw, _ := item.(object)
		switch text(pw, "name") {
		case "password1":
			row.First, row.End1 = text(pw, "value"), endOf(pw)
		case "password2":
			row.Second, row.End2 = text(pw, "value"), endOf(pw)
		}
	}
	return row
}

// madeRow shows the passwords of a token that was made: nothing else ever will.
func madeRow(o object) any {
	if made, ok := o["credentials"].(object); ok && made["username"] != nil {
		return passwordsRow(made)
	}
	return tokenRow(o)
}

// tokenSettings are the flags of create.
type tokenSettings struct {
	ofToken
	scopeMap, status, expiration string
	repositories, gateways       [][]string
	days                         int
	noPasswords                  *bool
}

func (a *app) tokenCreate() *cobra.Command {
	var set tokenSettings
	cmd := &cobra.Command{
		Use: "create", Short: "Create a token, and generate its passwords", Args: noArgs,
		Long: `Create a token and generate its two passwords, which are shown this once. What it may do says a scope map, or --repository,
for which a scope map NAME-scope-map is made.`,
		Example: `  acre token create -r mainreg -n builder --scope-map _repositories_push
  acre token create -r mainreg -n edge-site --repository app content/read --repository 'base/*' content/read metadata/read
  acre token create -r mainreg -n nightly --scope-map readers --expiration-in-days 30`,
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			got, err := p.createToken(ctx, set)
			if err != nil {
				return err
			}
			return showOne(a, got, madeRow)
		}),
	}
	set.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&set.scopeMap, "scope-map", "", "scope map that says what the token may do")
	f.Var(wordLists{&set.repositories}, "repository", actionsUsage)
	f.Var(wordLists{&set.gateways}, "gateway", gatewayUsage)
	statusFlag(cmd, &set.status, "enabled")
	truthFlag(cmd, &set.noPasswords, "no-passwords", "generate no passwords now")
	expiryFlags(cmd, &set.expiration, &set.days)
	return cmd
}

func statusFlag(cmd *cobra.Command, status *string, otherwise string) {
	cmd.Flags().StringVar(status, "status", otherwise, "enabled or disabled")
	mustComplete(cmd, "status", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"enabled", "disabled"}, cobra.ShellCompDirectiveNoFileComp
	})
}

func checkStatus(status string) error {
	if status != "" && status != "enabled" && status != "disabled" {
		return fault.New(fault.Invalid, "--status is enabled or disabled, not %q", status)
	}
	return nil
}

func expiryFlags(cmd *cobra.Command, at *string, days *int) {
	cmd.Flags().StringVar(at, "expiration", "", "when the passwords end, such as 2030-12-31T12:59:59Z (default never)")
	cmd.Flags().IntVar(days, "expiration-in-days", 0, "after how many days the passwords end")
}

func (set *tokenSettings) check() (actions []string, end string, err error) {
	if actions, err = scopeActions(set.repositories, set.gateways); err != nil {
		return nil, "", err
	}
	if end, err = expiry(set.expiration, set.days, time.Now()); err != nil {
		return nil, "", err
	}
	switch {
	case (len(actions) > 0) == (set.scopeMap != ""):
		return nil, "", fault.New(fault.Invalid, "what may the token do? Give either --scope-map, or --repository and --gateway")
	case set.noPasswords != nil && *set.noPasswords && end != "":
		return nil, "", fault.New(fault.Invalid, "--no-passwords leaves nothing that could end: leave --expiration and --expiration-in-days away")
	}
	return actions, end, checkStatus(set.status)
}

func (p *plane) createToken(ctx context.Context, set tokenSettings) (object, error) {
	actions, end, err := set.check()
	if err != nil {
		return nil, err
	}
	id, reg, err := set.id(ctx, p)
	if err != nil {
		return nil, err
	}
	scopeMap, mapMade := reg+"/scopeMaps/"+set.scopeMap, false
	if len(actions) > 0 {
		scopeMap = reg + "/scopeMaps/" + set.name + "-scope-map"
		if mapMade, err = p.scopeMapOfToken(ctx, scopeMap, set.name, actions); err != nil {
			return nil, err
		}
	}
	token, err := p.ask(ctx, http.MethodPut, id, registryVersion, object{"properties": object{"scopeMapId": scopeMap, "status": set.status}})
	if err != nil && mapMade {
		err = errors.Join(err, p.call(ctx, forManagement, http.MethodDelete, withVersion(scopeMap, registryVersion), nil, nil))
	}
	if err != nil || set.noPasswords != nil && *set.noPasswords {
		return token, err
	}
	made, err := p.generate(ctx, reg, id, "", end)
	if err != nil {
		return nil, err
	}
	token["credentials"] = made
	home, err := p.get(ctx, reg, registryVersion)
	if err != nil {
		return nil, err
	}
	p.warn("Keep the passwords now, they are not shown again. They log in with: docker login %s -u %s --password-stdin", text(home, "loginServer"), set.name)
	return token, nil
}

// generate makes a password of a token, or both where none is named.
func (p *plane) generate(ctx context.Context, reg, token, name, end string) (object, error) {
	body := object{"tokenId": token}
	if name != "" {
		body["name"] = name
	}
	if end != "" {
		body["expiry"] = end
	}
	return p.ask(ctx, http.MethodPost, reg+"/generateCredentials", registryVersion, body)
}

func (a *app) tokenUpdate() *cobra.Command {
	var of ofToken
	var scopeMap, status string
	cmd := &cobra.Command{
		Use: "update", Short: "Change a token's scope map or status", Args: noArgs,
		Long:    "Change a token. What it may do changes within two seconds, also for who is logged in with it.",
		Example: "  acre token update -r mainreg -n builder --status disabled\n  acre token update -r mainreg -n builder --scope-map readers",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if err := checkStatus(status); err != nil {
				return err
			}
			if scopeMap == "" && status == "" {
				return fault.New(fault.Invalid, "what is to change? Give --scope-map or --status")
			}
			id, reg, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			properties := object{}
			if scopeMap != "" {
				properties["scopeMapId"] = reg + "/scopeMaps/" + scopeMap
			}
			if status != "" {
				properties["status"] = status
			}
			got, err := p.ask(ctx, http.MethodPatch, id, registryVersion, object{"properties": properties})
			if err != nil {
				return err
			}
			return showOne(a, got, tokenRow)
		}),
	}
	of.flags(cmd)
	cmd.Flags().StringVar(&scopeMap, "scope-map", "", "scope map that says what the token may do")
	statusFlag(cmd, &status, "")
	return cmd
}

func (a *app) tokenShow() *cobra.Command {
	var of ofToken
	cmd := &cobra.Command{
		Use: "show", Short: "Show a token, without its passwords", Args: noArgs, Example: "  acre token show -r mainreg -n builder",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			return showOne(a, got, tokenRow)
		}),
	}
	of.flags(cmd)
	return cmd
}

func (a *app) tokenList() *cobra.Command {
	var of ofRegistry
	var unused int
	cmd := &cobra.Command{
		Use: "list", Short: "List the tokens of a registry", Args: noArgs,
		Example: "  acre token list -r mainreg -o table\n  acre token list -r mainreg --unused-days 90 --query '[].name' -o tsv",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if unused < 0 {
				return fault.New(fault.Invalid, "--unused-days is a number of 1 or more, not %d", unused)
			}
			reg, err := p.registryID(ctx, of)
			if err != nil {
				return err
			}
			all, err := p.listOf(ctx, reg+"/tokens", registryVersion)
			if err != nil {
				return err
			}
			if unused > 0 {
				all = unusedSince(all, time.Now().AddDate(0, 0, -unused))
			}
			return show(a, all, tokenRow)
		}),
	}
	of.flags(cmd, "registry", "r")
	cmd.Flags().IntVar(&unused, "unused-days", 0, "only those that nobody has used for so many days")
	return cmd
}

// unusedSince are the tokens that were last used before a time, or never and made before it.
func unusedSince(tokens []object, since time.Time) []object {
	return slices.DeleteFunc(tokens, func(o object) bool {
		last, err := time.Parse(time.RFC3339Nano, cmp.Or(text(o, "acre", "lastUsedTime"), text(o, "creationDate")))
		return err != nil || !last.Before(since)
	})
}

func (a *app) tokenDelete() *cobra.Command {
	var of ofToken
	var yes bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete a token", Args: noArgs, Example: "  acre token delete -r mainreg -n builder --yes",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			if err := a.sure(yes, fmt.Sprintf("Delete the token %s? Whoever uses it loses access.", of.name)); err != nil {
				return err
			}
			return p.remove(ctx, id, registryVersion)
		}),
	}
	of.flags(cmd)
	yesFlag(cmd, &yes)
	return cmd
}

func (a *app) tokenCredentialCommand() *cobra.Command {
	cmd := group("credential", "The passwords of a token", "")
	cmd.AddCommand(a.tokenGenerate(), a.tokenForget(), a.tokenRotate())
	return cmd
}

// passwordFlags choose one of a token's passwords, or both.
func passwordFlags(cmd *cobra.Command, first, second *bool) {
	cmd.Flags().BoolVar(first, "password1", false, "password1")
	cmd.Flags().BoolVar(second, "password2", false, "password2")
}

func (a *app) tokenGenerate() *cobra.Command {
	var of ofToken
	var first, second bool
	var end string
	var days int
	cmd := &cobra.Command{
		Use: "generate", Short: "Generate passwords of a token", Args: noArgs,
		Long:    "Generate one password of a token, or both where none is named. It is shown this once; the one it replaces no longer holds.",
		Example: "  acre token credential generate -r mainreg -n builder --password2 --expiration-in-days 30",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			end, err := expiry(end, days, time.Now())
			if err != nil {
				return err
			}
			id, reg, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			which := ""
			switch {
			case first && !second:
				which = "password1"
			case second && !first:
				which = "password2"
			}
			got, err := p.generate(ctx, reg, id, which, end)
			if err != nil {
				return err
			}
			return showOne(a, got, passwordsRow)
		}),
	}
	of.flags(cmd)
	passwordFlags(cmd, &first, &second)
	expiryFlags(cmd, &end, &days)
	return cmd
}

func (a *app) tokenForget() *cobra.Command {
	var of ofToken
	var first, second bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete passwords of a token", Args: noArgs, Example: "  acre token credential delete -r mainreg -n builder --password1",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if !first && !second {
				return fault.New(fault.Invalid, "which password? Give --password1, --password2 or both")
			}
			id, _, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			token, err := p.get(ctx, id, registryVersion)
			if err != nil {
				return err
			}
			keep, err := keptPasswords(token, map[string]bool{"password1": first, "password2": second})
			if err != nil {
				return err
			}
			got, err := p.ask(ctx, http.MethodPatch, id, registryVersion, object{"properties": object{"credentials": object{"passwords": keep}}})
			if err != nil {
				return err
			}
			return showOne(a, got, tokenRow)
		}),
	}
	of.flags(cmd)
	passwordFlags(cmd, &first, &second)
	return cmd
}

func (a *app) tokenRotate() *cobra.Command {
	var id, which string
	var l loginFlags
	cmd := &cobra.Command{
		Use: "rotate", Short: "Renew a password of a token with the token itself", Args: noArgs,
		Long: `Renew a password of a token, as who holds it: with the password that it has, and without signing in. The new one is shown
this once; the one it replaces no longer holds.`,
		Example: "  acre token credential rotate --id TOKEN_ID --password-name password2 --password-stdin < password.txt",
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := arm.ParseID(id)
			if err != nil || token.Type() != "registries/tokens" {
				return fault.New(fault.Invalid, "which token? Give its whole ID as --id; acre token show --query id -o tsv shows it to who may read it")
			}
			if which != "password1" && which != "password2" {
				return fault.New(fault.Invalid, "--password-name is password1 or password2, not %q", which)
			}
			l.user = token.Name()
			cred, err := a.askCredential(l)
			if err != nil {
				return err
			}
			at, client, err := a.httpClient()
			if err != nil {
				return err
			}
			defer client.CloseIdleConnections()
			p := &plane{app: a, at: at, http: client, basic: &cred}
			got, err := p.ask(cmd.Context(), http.MethodPost, token.String()+"/rotatePassword", registryVersion, object{"name": which})
			if err != nil {
				return err
			}
			return showOne(a, got, passwordsRow)
		},
	}
	f := cmd.Flags()
	f.StringVar(&id, "id", "", "token, by its whole ID")
	f.StringVar(&which, "password-name", "", "which to renew: password1 or password2")
	f.StringVarP(&l.password, "password", "p", "", "a password that the token has (default $ACRE_PASSWORD)")
	f.BoolVar(&l.fromStdin, "password-stdin", false, "read it from stdin")
	return cmd
}

// keptPasswords are a token's passwords without those to delete, which must be there.
func keptPasswords(token object, drop map[string]bool) ([]object, error) {
	list, _ := member(token, "credentials", "passwords").([]any)
	keep, have := []object{}, []string{}
	for _, item := range list {
		pw, _ := item.(object)
		name := text(pw, "name")
		if have = append(have, name); !drop[name] {
			keep = append(keep, object{"name": name})
		}
	}
	for _, name := range []string{"password1", "password2"} {
		if drop[name] && !slices.Contains(have, name) {
			return nil, fault.New(fault.NotFound, "token %s has no %s", text(token, "name"), name)
		}
	}
	return keep, nil
}

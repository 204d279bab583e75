package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// guid is what object IDs and client IDs look like.
var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// graphPath is a path of the directory's API.
func graphPath(parts ...string) string {
	var b strings.Builder
	b.WriteString("/v1.0")
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}

// quote writes a string into a filter.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// graph asks the directory.
func (p *plane) graph(ctx context.Context, method, path string, body, out any) error {
	return p.call(ctx, forGraph, method, path, body, out)
}

func (p *plane) graphGet(ctx context.Context, parts ...string) (object, error) {
	var got object
	err := p.graph(ctx, http.MethodGet, graphPath(parts...), nil, &got)
	delete(got, "@odata.context")
	return got, err
}

// find lists the directory's objects of a kind that all filters match, those of the user's own included.
func (p *plane) find(ctx context.Context, kind string, filters ...string) ([]object, error) {
	path := graphPath(kind)
	said := []string{}
	for _, f := range filters {
		if f != "" {
			said = append(said, f)
		}
	}
	if len(said) > 0 {
		path += "?" + url.Values{"$filter": {strings.Join(said, " and ")}}.Encode()
	}
	return p.list(ctx, forGraph, path)
}

// equals and begins are filters; "" where there is nothing to compare with.
func equals(member, value string) string {
	if value == "" {
		return ""
	}
	return member + " eq " + quote(value)
}

func begins(member, value string) string {
	if value == "" {
		return ""
	}
	return "startswith(" + member + "," + quote(value) + ")"
}

// applicationOf is the object ID of an application, said by client ID, URI or object ID.
func (p *plane) applicationOf(ctx context.Context, id string) (string, error) {
	filter := "identifierUris/any(s:s eq " + quote(id) + ")"
	if guid.MatchString(id) {
		filter = equals("appId", id)
	}
	found, err := p.find(ctx, "applications", filter)
	switch {
	case err != nil:
		return "", err
	case len(found) > 0:
		return text(found[0], "id"), nil
	case guid.MatchString(id):
		return id, nil
	case id == "":
		return "", fault.New(fault.Invalid, "which application? Give its client ID, URI or object ID as --id")
	}
	return "", fault.New(fault.NotFound, "there is no application with the URI %q; acre ad app list shows which there are", id)
}

// principalOf is the object ID of a service principal, said by client ID, name or object ID.
func (p *plane) principalOf(ctx context.Context, id string) (string, error) {
	if id == "" {
		return "", fault.New(fault.Invalid, "which service principal? Give its client ID, name or object ID as --id")
	}
	found, err := p.find(ctx, "servicePrincipals", "servicePrincipalNames/any(c:c eq "+quote(id)+")")
	switch {
	case err != nil:
		return "", err
	case len(found) > 0:
		return text(found[0], "id"), nil
	case guid.MatchString(id):
		return id, nil
	}
	return "", fault.New(fault.NotFound, "there is no service principal %q; acre ad sp list shows which there are", id)
}

// groupOfName is the object ID of a group, said by name or object ID.
func (p *plane) groupOfName(ctx context.Context, name string) (string, error) {
	if guid.MatchString(name) {
		return name, nil
	}
	if name == "" {
		return "", fault.New(fault.Invalid, "which group? Give its name or object ID as --group")
	}
	found, err := p.find(ctx, "groups", begins("displayName", name))
	if err != nil {
		return "", err
	}
	for _, g := range found {
		if text(g, "displayName") == name {
			return text(g, "id"), nil
		}
	}
	switch len(found) {
	case 0:
		return "", fault.New(fault.NotFound, "there is no group %q; acre ad group list shows which there are", name)
	case 1:
		return text(found[0], "id"), nil
	}
	return "", fault.New(fault.Invalid, "%d groups begin with %q: give the whole name or the object ID", len(found), name)
}

// principalTypes are what the directory calls kinds of objects, and what role assignments call them.
var principalTypes = map[string]acr.PrincipalType{
	"#microsoft.graph.user": acr.UserPrincipal, "#microsoft.graph.group": acr.GroupPrincipal, "#microsoft.graph.servicePrincipal": acr.ServicePrincipal,
}

// principal is whom a role is assigned to.
type principal struct {
	id   string
	kind acr.PrincipalType // "" where the directory does not say
}

// assignee finds whom a user means by a user's name, a service principal's name or client ID, a group's name, or an
// object ID.
func (p *plane) assignee(ctx context.Context, who string) (principal, error) {
	if strings.Contains(who, "@") {
		found, err := p.find(ctx, "users", equals("userPrincipalName", who))
		if err != nil {
			return principal{}, err
		}
		if len(found) > 0 {
			return principal{text(found[0], "id"), acr.UserPrincipal}, nil
		}
	}
	found, err := p.find(ctx, "servicePrincipals", "servicePrincipalNames/any(c:c eq "+quote(who)+")")
	if err != nil {
		return principal{}, err
	}
	if len(found) > 0 {
		return principal{text(found[0], "id"), acr.ServicePrincipal}, nil
	}
	if !guid.MatchString(who) {
		found, err := p.find(ctx, "groups", equals("displayName", who))
		if err != nil {
			return principal{}, err
		}
		if len(found) == 1 {
			return principal{text(found[0], "id"), acr.GroupPrincipal}, nil
		}
		return principal{}, fault.New(fault.NotFound, "nobody in the directory is called %q: name a user, a service principal's client ID, a group, or an object ID", who)
	}
	stubs, err := p.stubs(ctx, []string{who})
	if err != nil {
		return principal{}, err
	}
	if len(stubs) == 0 {
		return principal{}, fault.New(fault.NotFound, "nobody in the directory has the ID %s; for an application, acre ad sp create --id %s makes its service principal", who, who)
	}
	return principal{text(stubs[0], "id"), principalTypes[text(stubs[0], "@odata.type")]}, nil
}

// stubs are the directory's objects with these IDs; what is gone is left out.
func (p *plane) stubs(ctx context.Context, ids []string) ([]object, error) {
	const most = 1000 // in one request
	all := []object{}
	for len(ids) > 0 {
		n := min(len(ids), most)
		var got struct {
			Value []object `json:"value"`
		}
		body := object{"ids": ids[:n], "types": []string{"user", "group", "servicePrincipal", "directoryObjectPartnerReference"}}
		if err := p.graph(ctx, http.MethodPost, graphPath("directoryObjects", "getByIds"), body, &got); err != nil {
			return nil, err
		}
		all, ids = append(all, got.Value...), ids[n:]
	}
	return all, nil
}

// shownName is how tables call an object of the directory.
func shownName(o object) string {
	if names := texts(o["servicePrincipalNames"]); len(names) > 0 {
		return names[0]
	}
	return cmp.Or(text(o, "userPrincipalName"), text(o, "displayName"))
}

// readJSON reads what a flag holds as JSON: itself, or the file that it names, with or without an @ before it.
func readJSON(flag, value string, out any) error {
	if value == "" {
		return fault.New(fault.Invalid, "--%s is missing: give JSON, or a file that holds it", flag)
	}
	content := []byte(value)
	if !strings.HasPrefix(strings.TrimSpace(value), "{") {
		var err error
		if content, err = os.ReadFile(strings.TrimPrefix(value, "@")); err != nil {
			return fault.New(fault.Invalid, "--%s is neither a JSON object nor a file: %w", flag, err)
		}
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fault.New(fault.Invalid, "--%s is no JSON object: %w", flag, err)
	}
	return nil
}

package ociclient

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Of names a repository, or a tag or a manifest of it.
type Of struct {
	Repository string
	oci.Ref
}

func (o Of) check() error {
	if o.Ref == (oci.Ref{}) {
		return oci.CheckName(o.Repository)
	}
	return checkRef(o.Repository, o.Ref)
}

func (o Of) path() string {
	switch {
	case o.Digest != "":
		return "/acr/v1/" + o.Repository + "/_manifests/" + string(o.Digest)
	case o.Tag != "":
		return "/acr/v1/" + o.Repository + "/_tags/" + o.Tag
	}
	return "/acr/v1/" + o.Repository
}

// Attributes are what the registry tells of a repository, a tag or a manifest, as it tells it. Registries other than ACR and
// its equals lack the call: Unsupported there. Errors: NAME_UNKNOWN, TAG_UNKNOWN, MANIFEST_UNKNOWN.
func (c *Client) Attributes(ctx context.Context, of Of) (json.RawMessage, error) {
	return c.attributes(ctx, of, call{method: http.MethodGet, scopes: repoScopes(of.Repository, "metadata_read")})
}

// Change changes attributes and gives what Attributes then gives.
func (c *Client) Change(ctx context.Context, of Of, change acr.AttributeChange) (json.RawMessage, error) {
	body, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	return c.attributes(ctx, of, call{
		method: http.MethodPatch, header: http.Header{"Content-Type": {"application/json"}}, body: fixed(body),
		scopes: repoScopes(of.Repository, "metadata_read", "metadata_write"),
	})
}

func (c *Client) attributes(ctx context.Context, of Of, k call) (json.RawMessage, error) {
	if err := of.check(); err != nil {
		return nil, err
	}
	k.url = c.at(of.path(), nil)
	resp, err := c.do(ctx, k, http.StatusOK)
	if err != nil {
		return nil, c.orUnsupported(err)
	}
	var answer json.RawMessage
	if err := c.decode(resp, &answer); err != nil || of.Ref == (oci.Ref{}) {
		return answer, err
	}
	var wrapped struct{ Tag, Manifest json.RawMessage }
	if err := json.Unmarshal(answer, &wrapped); err != nil {
		return nil, c.wrong("the answer to %s: %w", k.url.Path, err)
	}
	if of.Digest != "" {
		return wrapped.Manifest, nil
	}
	return wrapped.Tag, nil
}

// orUnsupported tells a registry without the call from one that lacks what was asked for.
func (c *Client) orUnsupported(err error) error {
	if errors.Is(err, fault.NotFound) && fault.Of(err).Code == "" {
		return fault.New(fault.Unsupported, "%s does not tell of attributes: it is neither Azure Container Registry nor acre", c.base.Host)
	}
	return err
}

// TagInfos lists tags with their attributes. Errors: NAME_UNKNOWN, Unsupported.
func (c *Client) TagInfos(ctx context.Context, repo string, l acr.Listing) ([]acr.TagInfo, bool, error) {
	var body struct{ Tags []acr.TagInfo }
	more, err := c.infos(ctx, repo, "_tags", l, &body)
	return body.Tags, more, err
}

// ManifestInfos lists manifests with their attributes. Errors: NAME_UNKNOWN, Unsupported.
func (c *Client) ManifestInfos(ctx context.Context, repo string, l acr.Listing) ([]acr.ManifestInfo, bool, error) {
	var body struct{ Manifests []acr.ManifestInfo }
	more, err := c.infos(ctx, repo, "_manifests", l, &body)
	return body.Manifests, more, err
}

// orders spell acr.Order.
var orders = map[acr.Order]string{acr.OldestFirst: "timeasc", acr.NewestFirst: "timedesc"}

func (c *Client) infos(ctx context.Context, repo, list string, l acr.Listing, into any) (more bool, err error) {
	if err := oci.CheckName(repo); err != nil {
		return false, err
	}
	query := url.Values{"n": {strconv.Itoa(l.Limit)}}
	for key, value := range map[string]string{"last": l.After, "orderby": orders[l.Order], "digest": string(l.Digest)} {
		if value != "" {
			query.Set(key, value)
		}
	}
	resp, err := c.do(ctx, call{
		method: http.MethodGet, url: c.at("/acr/v1/"+repo+"/"+list, query), scopes: repoScopes(repo, "metadata_read"),
	}, http.StatusOK)
	if err != nil {
		return false, c.orUnsupported(err)
	}
	more = c.next(resp) != nil
	return more, c.decode(resp, into)
}

package controlplane

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

// tagRow is the tags of whatever has some, by themselves: {scope}/providers/Microsoft.Resources/tags/default.
func (f *Face) tagRow() *row {
	return &row{provider: arm.Resources, types: "tags", extends: true, verbs: map[string]handler{
		http.MethodGet: getTags, http.MethodPut: putTags, http.MethodPatch: patchTags, http.MethodDelete: deleteTags,
	}}
}

// tagNamesRow is which tags there are in the subscription.
func (f *Face) tagNamesRow() *row {
	return &row{provider: arm.Resources, types: "subscriptions/tagNames", verbs: map[string]handler{list: tagNames}}
}

type tagsWire struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Properties tagsProperties `json:"properties"`
}

type tagsProperties struct {
	Tags map[string]string `json:"tags"`
}

func writeTags(c *call, tags map[string]string, err error) error {
	if err != nil {
		return err
	}
	scope := strings.TrimSuffix(c.path.Scope, "/")
	return c.write(http.StatusOK, tagsWire{scope + "/providers/" + arm.Resources + "/tags/default", "default", arm.Resources + "/tags", tagsProperties{wireTags(tags)}})
}

// tagScope is what the tags are of.
func (c *call) tagScope() (string, error) {
	if !strings.EqualFold(c.path.Names[0], "default") {
		return "", fault.New(fault.NotFound, "The tags '%.60s' are not found: those of a resource are called default.", c.path.Names[0])
	}
	return c.path.Scope, nil
}

func getTags(c *call) error {
	scope, err := c.tagScope()
	if err != nil {
		return err
	}
	tags, err := c.opt.Resources.Tags(c.ctx, scope)
	return writeTags(c, tags, err)
}

// tagsBody is what tags are changed by; PUT has no operation.
type tagsBody struct {
	Operation  string         `json:"operation"`
	Properties tagsProperties `json:"properties"`
}

func putTags(c *call) error {
	var in tagsBody
	if err := c.decode(&in); err != nil {
		return err
	}
	in.Operation = "Replace"
	return editTags(c, in)
}

func patchTags(c *call) error {
	var in tagsBody
	if err := c.decode(&in); err != nil {
		return err
	}
	return editTags(c, in)
}

func editTags(c *call, in tagsBody) error {
	edit := map[string]func(map[string]string){
		"replace": func(tags map[string]string) { clear(tags); maps.Copy(tags, in.Properties.Tags) },
		"merge":   func(tags map[string]string) { resource.SetTags(tags, in.Properties.Tags) },
		"delete": func(tags map[string]string) {
			for name, value := range in.Properties.Tags {
				resource.DropTag(tags, name, value)
			}
		},
	}[strings.ToLower(in.Operation)]
	if edit == nil {
		return fault.New(invalidContent, "The request content was invalid: the operation '%.60s' is not Merge, Replace or Delete.", in.Operation)
	}
	scope, err := c.tagScope()
	if err != nil {
		return err
	}
	tags, err := c.opt.Resources.EditTags(c.ctx, scope, "write", edit)
	return writeTags(c, tags, err)
}

func deleteTags(c *call) error {
	scope, err := c.tagScope()
	if err != nil {
		return err
	}
	if _, err := c.opt.Resources.EditTags(c.ctx, scope, "delete", func(tags map[string]string) { clear(tags) }); err != nil {
		return err
	}
	return c.deleted(true)
}

type tagNameWire struct {
	ID     string         `json:"id"`
	Name   string         `json:"tagName"`
	Count  tagCount       `json:"count"`
	Values []tagValueWire `json:"values"`
}

type tagValueWire struct {
	ID    string   `json:"id"`
	Value string   `json:"tagValue"`
	Count tagCount `json:"count"`
}

type tagCount struct {
	Type  string `json:"type"`
	Value int    `json:"value"`
}

// tagNames counts the tags of what the caller may read, by name and value.
func tagNames(c *call) error {
	tracked, err := c.opt.Resources.Tracked(c.ctx, c.opt.Resources.Scope(), "")
	if err != nil {
		return err
	}
	count := map[string]map[string]int{}
	for _, t := range tracked {
		for name, value := range t.Tags {
			if count[name] == nil {
				count[name] = map[string]int{}
			}
			count[name][value]++
		}
	}
	var out []tagNameWire
	for name, values := range count {
		w := tagNameWire{ID: c.opt.Resources.Scope() + "/tagNames/" + name, Name: name, Count: tagCount{Type: "Total"}}
		for value, n := range values {
			w.Count.Value += n
			w.Values = append(w.Values, tagValueWire{w.ID + "/tagValues/" + value, value, tagCount{"Total", n}})
		}
		slices.SortFunc(w.Values, func(a, b tagValueWire) int { return cmp.Compare(a.Value, b.Value) })
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b tagNameWire) int { return cmp.Compare(a.Name, b.Name) })
	return listed(c, out, "")
}

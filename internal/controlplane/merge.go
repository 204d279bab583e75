package controlplane

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// jsonObject is an object of JSON whose members are taken one by one.
type jsonObject = map[string]any

// merge is a JSON value with a part of it changed: members of objects one by one, null takes one away, all else is replaced
// whole (RFC 7396). Neither is changed.
func merge(value, part any) any {
	change, ok := part.(jsonObject)
	if !ok {
		return part
	}
	was, _ := value.(jsonObject)
	out := jsonObject{}
	maps.Copy(out, was)
	for name, v := range change {
		if v == nil {
			delete(out, name)
		} else {
			out[name] = merge(out[name], v)
		}
	}
	return out
}

// mergeNamed merges objects into a list, each into the one of its name; those of no name that is there are added.
func mergeNamed(list, parts any) any {
	changes, ok := parts.([]any)
	if !ok {
		return parts
	}
	was, _ := list.([]any)
	out := append([]any{}, was...)
	at := make(map[string]int, len(out))
	for i := range out {
		at[strings.ToLower(nameIn(out[i]))] = i
	}
	for _, part := range changes {
		name := strings.ToLower(nameIn(part))
		if i, there := at[name]; there {
			out[i] = merge(out[i], part)
			continue
		}
		at[name] = len(out)
		out = append(out, merge(nil, part))
	}
	return out
}

func nameIn(v any) string {
	o, _ := v.(jsonObject)
	name, _ := o["name"].(string)
	return name
}

// asObject is a value as JSON has it.
func asObject(v any) (jsonObject, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out jsonObject
	return out, json.Unmarshal(text, &out)
}

// fromObject reads a value that was changed. Errors: invalidContent.
func fromObject(o jsonObject, into any) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fault.New(invalidContent, "The request content was invalid and could not be deserialized: '%s'.", err)
	}
	return nil
}

package resource

import (
	"encoding/json"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// Match are the conditions of a change, by the ETags of what is there; * stands for any. The zero value holds always.
type Match struct {
	If     []string // one of these is there
	Unless []string // none of these is there
}

// ETag names exactly this state of a resource: its version, and what it says, since a resource that was removed and made
// anew has the same versions. "" for what the system gives, and in lists.
func (k Kept[R]) ETag() string { return etag(k.Doc, k.Version) }

func etag[R acr.Resource](r R, version int64) string {
	if version == 0 {
		return ""
	}
	h := fnv.New64a()
	_ = json.NewEncoder(h).Encode(r) // it was stored as JSON
	return `"` + strconv.FormatInt(version, 10) + "-" + strconv.FormatUint(h.Sum64(), 16) + `"`
}

// holds holds the conditions against the ETag of what is there, "" for nothing. Errors: fault.Precondition.
func (m Match) holds(id arm.ID, tag string) error {
	has := func(list []string) bool {
		return tag != "" && (slices.Contains(list, "*") || slices.Contains(list, tag))
	}
	switch {
	case len(m.If) > 0 && tag == "":
		return fault.New(fault.Precondition, "The condition If-Match does not hold: '%s' does not exist.", id)
	case len(m.If) > 0 && !has(m.If):
		return fault.New(fault.Precondition, "The condition If-Match does not hold: '%s' was changed meanwhile and has the ETag %s now. Read it again.", id, tag)
	case has(m.Unless):
		return fault.New(fault.Precondition, "The condition If-None-Match does not hold: '%s' exists already, with the ETag %s.", id, tag)
	}
	return nil
}

package acr

import (
	"strings"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Notification is an entry of a connected registry's list of what is told upwards: an artifact and an action. "" is not
// given, * is any.
type Notification struct {
	Name   string // a repository, prefix/* or *
	Tag    string
	Digest string
	Action string // push, delete or *
}

// maxNotification bounds an entry, in bytes.
const maxNotification = 512

// ParseNotification reads name[:tag][@digest]:action from the right: the action follows the last colon, the digest the @,
// the tag the colon before that. Errors: Invalid.
func ParseNotification(s string) (Notification, error) {
	bad := fault.New(fault.Invalid, "the notification %.200q is not valid: it looks like repository:tag:action or repository@digest:action, "+
		"with an action of push, delete or *, and * for any repository, tag or digest", s)
	at := strings.LastIndexByte(s, ':')
	if at < 1 || len(s) > maxNotification {
		return Notification{}, bad
	}
	n := Notification{Action: s[at+1:]}
	var digested, tagged bool
	n.Name, n.Digest, digested = strings.Cut(s[:at], "@")
	n.Name, n.Tag, tagged = strings.Cut(n.Name, ":")
	ok := n.Action == "push" || n.Action == "delete" || n.Action == "*"
	ok = ok && CheckNamePattern(n.Name) == nil
	ok = ok && (!tagged || n.Tag == "*" || oci.CheckTag(n.Tag) == nil)
	if ok && digested && n.Digest != "*" {
		_, err := oci.ParseDigest(n.Digest)
		ok = err == nil
	}
	if !ok {
		return Notification{}, bad
	}
	return n, nil
}

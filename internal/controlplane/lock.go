package controlplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// lockRow is what keeps resources from being deleted or changed.
func (f *Face) lockRow() *row {
	return &row{provider: arm.Authorization, types: "locks", extends: true, verbs: map[string]handler{
		list: listLocks, http.MethodGet: getLock, http.MethodPut: putLock, http.MethodDelete: deleteLock,
	}}
}

type lockWire struct {
	ID         string         `json:"id"`
	Type       string         `json:"type"`
	Name       string         `json:"name"`
	SystemData *systemData    `json:"systemData,omitempty"`
	Properties lockProperties `json:"properties"`
}

type lockProperties struct {
	Level  acr.LockLevel `json:"level"`
	Notes  string        `json:"notes,omitempty"`
	Owners []lockOwner   `json:"owners,omitempty"`
}

type lockOwner struct {
	ApplicationID string `json:"applicationId"`
}

func wireLock(l acr.ResourceLock) lockWire {
	out := lockWire{
		l.Scope + "/providers/" + arm.Authorization + "/locks/" + l.Name, arm.Authorization + "/locks", l.Name, wireSystem(l.System), lockProperties{l.Level, l.Notes, nil},
	}
	for _, o := range l.Owners {
		out.Properties.Owners = append(out.Properties.Owners, lockOwner{o})
	}
	return out
}

func listLocks(c *call) error {
	filter, err := terms(c.query.Get("$filter"))
	if err != nil {
		return err
	}
	for _, t := range filter {
		if t.name != "atscope" {
			return fault.New(badFilter, "Invalid $filter: '%.60s' is not known here; use atScope().", t.name)
		}
	}
	some, more, err := c.opt.Resources.Locks(c.ctx, c.path.Scope, len(filter) > 0, c.page())
	if err != nil {
		return err
	}
	out := make([]lockWire, len(some))
	for i, l := range some {
		out[i] = wireLock(l)
	}
	return listed(c, out, more)
}

func getLock(c *call) error {
	l, err := c.opt.Resources.Lock(c.ctx, c.path.Scope, c.path.Names[0])
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, wireLock(l))
}

func putLock(c *call) error {
	var in struct {
		Properties struct {
			Level  string      `json:"level"`
			Notes  string      `json:"notes"`
			Owners []lockOwner `json:"owners"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	l := acr.ResourceLock{
		Name: c.path.Names[0], Scope: c.path.Scope, Notes: in.Properties.Notes,
		Level: acr.LockLevel(spelled(in.Properties.Level, string(acr.LockCanNotDelete), string(acr.LockReadOnly))),
	}
	for _, o := range in.Properties.Owners {
		l.Owners = append(l.Owners, strings.ToLower(o.ApplicationID))
	}
	made, created, err := c.opt.Resources.PutLock(c.ctx, l)
	if err != nil {
		return err
	}
	return c.written(created, wireLock(made))
}

func deleteLock(c *call) error {
	existed, err := c.opt.Resources.DeleteLock(c.ctx, c.path.Scope, c.path.Names[0])
	if err != nil {
		return err
	}
	return c.deleted(existed)
}

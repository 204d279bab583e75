package controlplane

import "github.com/acre-registry/acre/internal/arm"

// permissionRow is what the caller may do at a scope.
func (f *Face) permissionRow() *row {
	return &row{provider: arm.Authorization, types: "permissions", extends: true, verbs: map[string]handler{list: listPermissions}}
}

type heldWire struct {
	permissionWire
	ConditionVersion string `json:"conditionVersion,omitempty"`
}

func listPermissions(c *call) error {
	held, err := c.opt.Resources.Permissions(c.ctx, c.path.Scope)
	if err != nil {
		return err
	}
	out := make([]heldWire, len(held))
	for i, h := range held {
		out[i] = heldWire{permissionWire{texts(h.Actions), texts(h.NotActions), texts(h.DataActions), texts(h.NotDataActions), h.Condition}, h.ConditionVersion}
	}
	return listed(c, out, "")
}

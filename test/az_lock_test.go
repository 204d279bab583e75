package test

import (
	"strings"
	"testing"
)

// az puts locks on what there is, which then stays, and takes them away.
func TestAzLock(t *testing.T) {
	eachAz(t, func(t *testing.T, _ *cloud, a az) {
		a = a.asOwner()
		a.do("group", "create", "-n", "locked", "-l", "eastus")
		a.do("acr", "create", "-n", "lockedreg", "-g", "locked", "--sku", "Standard")
		var lock struct{ Name, Level, Notes, ID string }
		a.json(&lock, "lock", "create", "-n", "keep", "--lock-type", "CanNotDelete", "--notes", "in use", "-g", "locked",
			"--resource-name", "lockedreg", "--resource-type", "Microsoft.ContainerRegistry/registries")
		if lock.Name != "keep" || lock.Level != "CanNotDelete" || lock.Notes != "in use" {
			t.Errorf("created: %+v", lock)
		}
		for _, args := range [][]string{{"acr", "delete", "-n", "lockedreg", "-g", "locked", "--yes"}, {"group", "delete", "-n", "locked", "--yes"}} {
			if out := a.refused(args...); !strings.Contains(out, "ScopeLocked") || !strings.Contains(out, "remove the lock") {
				t.Errorf("%v: %s", args, out)
			}
		}
		a.do("acr", "update", "-n", "lockedreg", "--admin-enabled", "true")
		a.do("lock", "create", "-n", "frozen", "--lock-type", "ReadOnly", "-g", "locked")
		if out := a.refused("acr", "update", "-n", "lockedreg", "--admin-enabled", "false"); !strings.Contains(out, "'frozen'") {
			t.Errorf("changed while it is read-only: %s", out)
		}
		if names := a.do("lock", "list", "-g", "locked", "--query", "sort([].name)", "-o", "tsv"); names != "frozen\nkeep" {
			t.Errorf("listed: %q", names)
		}
		if level := a.do("lock", "show", "-n", "frozen", "-g", "locked", "--query", "level", "-o", "tsv"); level != "ReadOnly" {
			t.Errorf("shown: %q", level)
		}
		a.do("lock", "update", "-n", "frozen", "-g", "locked", "--lock-type", "CanNotDelete", "--notes", "thawed")
		a.do("lock", "delete", "-n", "frozen", "-g", "locked")
		a.do("lock", "delete", "--ids", lock.ID)
		a.do("group", "delete", "-n", "locked", "--yes")
		if there := a.do("group", "exists", "-n", "locked"); there != "false" {
			t.Errorf("the group is there: %s", there)
		}
	})
}

// az reads and changes tags by themselves, and shows who changed what.
func TestAzTags(t *testing.T) {
	eachAz(t, func(t *testing.T, _ *cloud, a az) {
		a = a.asOwner()
		a.do("group", "create", "-n", "tagged", "-l", "eastus", "--tags", "a=1")
		id := a.do("acr", "create", "-n", "taggedreg", "-g", "tagged", "--sku", "Standard", "--tags", "team=x", "--query", "id", "-o", "tsv")
		a.do("tag", "create", "--resource-id", id, "--tags", "team=y", "cost=1")
		a.do("tag", "update", "--resource-id", id, "--operation", "merge", "--tags", "env=prod")
		a.do("tag", "update", "--resource-id", id, "--operation", "delete", "--tags", "cost=1")
		a.do("acr", "update", "-n", "taggedreg", "--admin-enabled", "true")
		if tags := a.do("tag", "list", "--resource-id", id, "--query", "properties.tags.[team, env, cost]", "-o", "tsv"); strings.Join(strings.Fields(tags), " ") != "y prod None" && strings.Join(strings.Fields(tags), " ") != "y prod" {
			t.Errorf("tags: %q", tags)
		}
		a.do("tag", "delete", "--resource-id", id, "--yes")
		events := a.do("monitor", "activity-log", "list", "-g", "tagged", "--query", "[].operationName.value", "-o", "tsv")
		if !strings.Contains(events, "Microsoft.ContainerRegistry/registries/write") || !strings.Contains(events, "Microsoft.Resources/subscriptions/resourceGroups/write") {
			t.Errorf("the activity log: %q", events)
		}
		a.do("group", "delete", "-n", "tagged", "--yes")
		if out := a.refused("acr", "show", "-n", "taggedreg", "-g", "tagged"); !strings.Contains(out, "NotFound") {
			t.Errorf("left behind: %s", out)
		}
	})
}

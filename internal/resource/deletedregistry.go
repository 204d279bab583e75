package resource

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Operations on registries that were deleted. They are asked on the group that the registry lay in, not on the registry: another
// may have its ID by now.
const (
	readDeleted    = arm.Provider + "/registries/deleted/read"
	restoreDeleted = arm.Provider + "/registries/deleted/restore/action"
	purgeDeleted   = arm.Provider + "/registries/deleted/purge/action"
)

// DeletedRegistry is a registry that can be restored, with the bytes of its blobs, each counted once.
type DeletedRegistry struct {
	acr.DeletedRegistry
	Size int64
}

// keepDeleted puts a registry away that was removed, so that it can be restored: nothing of it is lost.
func (s *Service) keepDeleted(c *Change[acr.Registry]) error {
	id, uid := s.IDOf(*c.Old), c.Old.UID
	if _, err := meta.ParkUnder(c.tx, uid, id.String()); err != nil {
		return err
	}
	if _, err := meta.ParkKeyed[acr.RoleAssignment](c.tx, uid, "scope:"+arm.CleanScope(id.String())); err != nil {
		return err
	}
	if _, err := meta.ParkKeyed[acr.ServiceAccount](c.tx, uid, "managed:"+id.Key()); err != nil {
		return err
	}
	number, err := c.tx.RetireRegistry(c.Old.Key(), acr.RetiredName(uid))
	if err != nil || number == 0 {
		return err
	}
	var by acr.SystemData
	s.stamp(c.ctx, &by)
	return meta.Put(c.tx, acr.DeletedRegistryID(uid), acr.DeletedRegistry{
		ID: id.String(), Number: number, Registry: *c.Old,
		DeletedAt: by.CreatedAt, PurgeAt: by.CreatedAt.Add(s.opt.KeepDeleted), DeletedBy: by.CreatedBy, DeletedAs: by.CreatedAs,
	}, 0)
}

// groupOf is the scope of the group that a deleted registry lay in.
func groupOf(d acr.DeletedRegistry) string {
	id, _ := arm.ParseID(d.ID)
	return "/subscriptions/" + id.Subscription + "/resourceGroups/" + id.Group
}

// DeletedRegistries lists the registries that can be restored, at a location or, where that is "", everywhere, by their UIDs;
// those only that the caller may read. more is where to go on, "" at the end.
func (s *Service) DeletedRegistries(ctx context.Context, location string, p Page) (list []DeletedRegistry, more string, err error) {
	whole := control(ctx, s.Scope(), readDeleted)
	if whole != nil && !s.reaches(ctx, s.Scope()) {
		return nil, "", whole
	}
	after := p.After
	if after != "" {
		after = acr.DeletedRegistryID(after).Key()
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		docs, err := meta.List[acr.DeletedRegistry](tx, after, p.limit()+1)
		if err != nil {
			return err
		}
		if len(docs) > p.limit() {
			docs = docs[:p.limit()]
			more = docs[len(docs)-1].Registry.UID
		}
		list, err = withSizes(tx, slices.DeleteFunc(docs, func(d acr.DeletedRegistry) bool {
			return location != "" && acr.HomeReplication(d.Registry).Location != acr.CleanLocation(location) || whole != nil && control(ctx, groupOf(d), readDeleted) != nil
		}))
		return err
	})
	return list, more, err
}

func withSizes(tx *meta.Tx, docs []acr.DeletedRegistry) ([]DeletedRegistry, error) {
	out := make([]DeletedRegistry, len(docs))
	for i, d := range docs {
		size, err := tx.Size(d.Number)
		if err != nil {
			return nil, err
		}
		out[i] = DeletedRegistry{d, size}
	}
	return out, nil
}

// DeletedRegistry reads a registry that can be restored, by its UID and where it was. Errors: fault.NotFound.
func (s *Service) DeletedRegistry(ctx context.Context, location, uid string) (out DeletedRegistry, err error) {
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		d, _, err := s.deleted(ctx, tx, location, uid, readDeleted)
		if err != nil {
			return err
		}
		list, err := withSizes(tx, []acr.DeletedRegistry{d})
		if err == nil {
			out = list[0]
		}
		return err
	})
	return out, err
}

// deleted reads a deleted registry for who may do an operation on it; until the transaction ends nobody else changes it.
func (s *Service) deleted(ctx context.Context, tx *meta.Tx, location, uid, operation string) (d acr.DeletedRegistry, version int64, err error) {
	d, version, err = meta.Get[acr.DeletedRegistry](tx, acr.DeletedRegistryID(uid))
	if errors.Is(err, fault.NotFound) || err == nil && acr.HomeReplication(d.Registry).Location != acr.CleanLocation(location) {
		if err := control(ctx, s.Scope(), operation); err != nil {
			return d, 0, err
		}
		return d, 0, fault.New(notFound, "The deleted registry '%.60s' was not found in location '%.60s': it was restored or purged, or never was there.", uid, location)
	}
	if err != nil {
		return d, 0, err
	}
	return d, version, control(ctx, groupOf(d), operation)
}

// RestoreRegistry brings back a registry that was deleted: its content, tokens, scope maps and whatever else lay in it, its
// settings, passwords and identities, and the roles that were assigned on it. Errors: fault.NotFound, of it or of its group;
// fault.Exists where another registry has its name.
func (s *Service) RestoreRegistry(ctx context.Context, location, uid string) (kept Kept[acr.Registry], err error) {
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		d, _, err := s.deleted(ctx, tx, location, uid, restoreDeleted)
		if err != nil {
			return err
		}
		kept, err = s.restore(ctx, tx, d)
		return err
	})
	return kept, err
}

func (s *Service) restore(ctx context.Context, tx *meta.Tx, d acr.DeletedRegistry) (kept Kept[acr.Registry], err error) {
	id, err := arm.ParseID(d.ID)
	if err != nil {
		return kept, err
	}
	// From here on no other change runs beside this one.
	existed, err := meta.Delete(tx, acr.DeletedRegistryID(d.Registry.UID))
	if err == nil && !existed {
		err = fault.New(fault.Conflict, "The registry %s was restored or purged by somebody else meanwhile.", d.Registry.Name)
	}
	if err != nil {
		return kept, err
	}
	if err := s.restorable(ctx, tx, d.Registry, id); err != nil {
		return kept, err
	}
	if err := tx.ReviveRegistry(d.Number, d.Registry.Key()); err != nil {
		return kept, err
	}
	r := d.Registry
	s.stamp(ctx, &r.System)
	if p, ok := any(&r).(acr.Provisioned); ok {
		*p.Provisions() = acr.Provisioning{}
	}
	if err := errors.Join(meta.Put(tx, id, r, 0), meta.Unpark(tx, r.UID)); err != nil {
		return kept, err
	}
	tx.OnCommit(s.opt.Registries.Forget)
	return Kept[acr.Registry]{ID: s.IDOf(r), Doc: r, Version: 1}, tx.Audit(id, &acr.AuditRow{OperationName: restoreDeleted})
}

// restorable makes sure that there is room for a registry where it was.
func (s *Service) restorable(ctx context.Context, tx *meta.Tx, r acr.Registry, id arm.ID) error {
	closing, err := s.within(tx, id.Subscription, id.Group)
	switch {
	case errors.Is(err, fault.NotFound):
		return fault.New(groupNotFound, "Resource group '%s', in which the registry %s was, could not be found: create it first.", id.Group, r.Name)
	case err != nil:
		return err
	case closing:
		return fault.New(groupClosing, "The resource group '%s' is in deprovisioning state and cannot perform this operation.", id.Group)
	}
	if err := s.unlocked(ctx, tx, s.GroupScope(id.Group), "write", false); err != nil {
		return err
	}
	taken, err := s.taken(tx, r.Key(), "")
	if err != nil || !taken {
		return err
	}
	return fault.New(nameInUse, "The registry %s cannot be restored: another registry has its name by now. Delete that registry first, or wait until it is deleted.", r.Name)
}

// PurgeRegistry removes a deleted registry for good, before its time. Errors: fault.NotFound.
func (s *Service) PurgeRegistry(ctx context.Context, location, uid string) error {
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		d, _, err := s.deleted(ctx, tx, location, uid, purgeDeleted)
		if err != nil {
			return err
		}
		if err := s.unlocked(ctx, tx, groupOf(d), "delete", false); err != nil {
			return err
		}
		return s.purge(tx, d)
	})
}

// PurgeRegistries removes the deleted registries for good whose time has come, each in a transaction of its own.
func (s *Service) PurgeRegistries(ctx context.Context) error {
	if err := control(ctx, s.Scope(), purgeDeleted); err != nil {
		return err
	}
	now := s.opt.DB.Now()
	for after := ""; ; {
		var list []acr.DeletedRegistry
		if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
			list, err = meta.List[acr.DeletedRegistry](tx, after, MaxPage)
			return err
		}); err != nil {
			return err
		}
		for _, d := range list {
			after = acr.DeletedRegistryID(d.Registry.UID).Key()
			if d.PurgeAt.After(now) {
				continue
			}
			if err := s.opt.DB.Update(ctx, func(tx *meta.Tx) error { return s.purge(tx, d) }); err != nil {
				return err
			}
		}
		if len(list) < MaxPage {
			return nil
		}
	}
}

// purge forgets a deleted registry; its contents are handed over to whom acr.EmptyRegistry reaches. Who restores it at the same
// time comes first, or finds it gone.
func (s *Service) purge(tx *meta.Tx, d acr.DeletedRegistry) error {
	existed, err := meta.Delete(tx, acr.DeletedRegistryID(d.Registry.UID))
	if err != nil || !existed {
		return err
	}
	if err := errors.Join(meta.DropParked(tx, d.Registry.UID), dropSecrets(tx, d.Registry.UID), releaseDomains(tx, Parent{Registry: d.Registry})); err != nil {
		return err
	}
	id, err := arm.ParseID(d.ID)
	if err != nil {
		return err
	}
	tx.AuditOf(d.Number, id, &acr.AuditRow{OperationName: purgeDeleted})
	return tx.EnqueueAt(acr.EmptyRegistry{Registry: d.Number}, later(s.opt.DB.Now(), d.DeletedAt.Add(farewell)))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// dropSecrets removes every secret of a registry, by its UID.
func dropSecrets(tx *meta.Tx, uid string) error {
	hooks, err := tx.Secrets(acr.WebhookSecrets(uid))
	names := []string{acr.AdminSecret(uid, acr.Password1), acr.AdminSecret(uid, acr.Password2)}
	for _, secret := range hooks {
		names = append(names, secret.Name)
	}
	for _, name := range names {
		err = errors.Join(err, tx.DeleteSecret(name))
	}
	return errors.Join(err, dropSealed(tx, uid))
}

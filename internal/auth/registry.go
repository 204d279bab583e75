package auth

import (
	"context"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// staleness is how old what is kept in memory of registries and their passwords may be.
const staleness = 2 * time.Second

// Registry is a registry with its row's number and its admin user's passwords.
type Registry struct {
	acr.Registry
	Key       string // the lower-case name
	ID        int64
	passwords [2]string
}

// Registries finds registries by name. What it says is at most two seconds old, unless the store is slow to say
// more: then who asks meanwhile gets what was known.
type Registries struct {
	db  *meta.DB
	now func() time.Time

	reading sync.Mutex // held by who reads the store
	mu      sync.Mutex
	read    time.Time // zero: anew at the next look-up
	byKey   map[string]*Registry
	changes int // counts Forget, so that a slower read does not undo it
}

// NewRegistries looks registries up in db.
func NewRegistries(db *meta.DB) *Registries { return &Registries{db: db, now: db.Now} }

// Get finds a registry by its lower-case name. Errors: fault.NotFound.
func (r *Registries) Get(ctx context.Context, key string) (*Registry, error) {
	all, err := r.All(ctx)
	if err != nil {
		return nil, err
	}
	if reg := all[key]; reg != nil {
		return reg, nil
	}
	return nil, fault.New(fault.NotFound, "registry %s does not exist", key)
}

// Forget has the next look-up read anew.
func (r *Registries) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byKey, r.read = nil, time.Time{}
	r.changes++
}

// known is what was read last, and whether it is still to be believed.
func (r *Registries) known() (all map[string]*Registry, fresh bool, changes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	age := r.now().Sub(r.read)
	return r.byKey, r.byKey != nil && age >= 0 && age < staleness, r.changes
}

// All gives every registry by key. The map must not be changed.
func (r *Registries) All(ctx context.Context) (map[string]*Registry, error) {
	all, fresh, _ := r.known()
	if fresh {
		return all, nil
	}
	if !r.reading.TryLock() {
		if all != nil {
			return all, nil // somebody reads it
		}
		r.reading.Lock()
	}
	defer r.reading.Unlock()
	all, fresh, changes := r.known()
	if fresh {
		return all, nil
	}
	now := r.now()
	all, err := r.stored(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes == changes {
		r.byKey, r.read = all, now
	}
	return all, nil
}

func (r *Registries) stored(ctx context.Context) (map[string]*Registry, error) {
	all := map[string]*Registry{}
	err := r.db.View(ctx, func(tx *meta.Tx) error {
		clear(all)
		docs, err := meta.List[acr.Registry](tx, "", maxRegistries)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			reg := &Registry{Registry: doc, Key: doc.Key()}
			if reg.ID, err = tx.Registry(reg.Key); err != nil {
				return err
			}
			secrets, err := tx.Secrets(acr.AdminSecret(doc.UID, ""))
			if err != nil {
				return err
			}
			for _, s := range secrets {
				switch s.Name {
				case acr.AdminSecret(doc.UID, acr.Password1):
					reg.passwords[0] = string(s.Value)
				case acr.AdminSecret(doc.UID, acr.Password2):
					reg.passwords[1] = string(s.Value)
				}
			}
			all[reg.Key] = reg
		}
		return nil
	})
	return all, err
}

// maxRegistries bounds what one process serves.
const maxRegistries = 10000

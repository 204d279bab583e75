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

// Registries finds registries by name. What it says is at most two seconds old.
type Registries struct {
	db  *meta.DB
	now func() time.Time

	mu    sync.Mutex
	read  time.Time
	byKey map[string]*Registry
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
	r.byKey = nil
}

// All gives every registry by key. The map must not be changed.
func (r *Registries) All(ctx context.Context) (map[string]*Registry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.byKey != nil && now.Sub(r.read) < staleness && !now.Before(r.read) {
		return r.byKey, nil
	}
	all := map[string]*Registry{}
	err := r.db.View(ctx, func(tx *meta.Tx) error {
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
	if err != nil {
		return nil, err
	}
	r.byKey, r.read = all, now
	return all, nil
}

// maxRegistries bounds what one process serves.
const maxRegistries = 10000

package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Registry is a registry with its row's number and its admin user's passwords.
type Registry struct {
	acr.Registry
	Key string // the lower-case name
	ID  int64
	// ContentKey is what the contents are sealed with; nil where nothing of them ever was.
	ContentKey []byte
	// Locked is why the content key cannot be had, and so nothing of what the registry holds; fault.Denied.
	Locked error

	wrapped   []byte // what ContentKey was opened from
	passwords [2]string
	epoch     epoch
	network   *network

	revocations map[subjectKey]int64 // of all registries
}

// fingerprint tells in tokens which of the admin user's passwords they were got with. It is no way to the password, which
// holds 256 bits.
func (r *Registry) fingerprint(password string) string {
	sum := sha256.Sum256([]byte("admin password\x00" + r.UID + "\x00" + password))
	return hex.EncodeToString(sum[:8])
}

// Registries finds registries by name. What it says is at most two seconds old; it asks the store every second whether
// anything has changed, and reads again only then.
type Registries struct {
	db  *meta.DB
	now func() time.Time

	reading sync.Mutex // held by who reads the store
	mu      sync.Mutex
	asked   time.Time // zero: anew at the next look-up
	epoch   epoch
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

// Forget has the next look-up ask the store. Whoever changes a registry, a token, a scope map, a role or an assignment calls
// it when that is committed, so that it takes effect here at once.
func (r *Registries) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = time.Time{}
	r.changes++
}

// All gives every registry by key. The map must not be changed.
func (r *Registries) All(ctx context.Context) (map[string]*Registry, error) {
	all, _, err := r.current(ctx)
	return all, err
}

// known is what was read last, and how long ago the store said that it still holds.
func (r *Registries) known() (all map[string]*Registry, at epoch, age time.Duration, changes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	age = promised
	if r.byKey != nil && !r.asked.IsZero() {
		if age = r.now().Sub(r.asked); age < 0 { // the clock was set back
			age = promised
		}
	}
	return r.byKey, r.epoch, age, r.changes
}

// current is every registry and the epoch of all resources. One asks the store; who comes meanwhile waits only where what is
// known is older than promised.
func (r *Registries) current(ctx context.Context) (map[string]*Registry, epoch, error) {
	all, at, age, _ := r.known()
	if age < staleness {
		return all, at, nil
	}
	if !r.reading.TryLock() {
		if age < promised {
			return all, at, nil
		}
		r.reading.Lock()
	}
	defer r.reading.Unlock()
	all, at, age, changes := r.known()
	if age < staleness {
		return all, at, nil
	}
	now := r.now()
	all, at, err := r.renew(ctx, all, at, now)
	if err != nil {
		return nil, epoch{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes == changes {
		r.byKey, r.epoch, r.asked = all, at, now
	}
	return all, at, nil
}

// renew reads the registries again where the generation has moved.
func (r *Registries) renew(ctx context.Context, all map[string]*Registry, at epoch, now time.Time) (map[string]*Registry, epoch, error) {
	var generation int64
	if err := r.db.Look(ctx, func(tx *meta.Tx) (err error) { generation, err = tx.Generation(); return err }); err != nil {
		return nil, epoch{}, err
	}
	if all != nil && generation == at.generation && !now.Before(at.since) {
		return all, at, nil
	}
	var next map[string]*Registry
	err := r.db.View(ctx, func(tx *meta.Tx) error {
		g, err := tx.Generation()
		if err != nil {
			return err
		}
		at = epoch{g, now}
		next, err = stored(tx, at, all)
		return err
	})
	return next, at, err
}

// stored reads all registries; what of the earlier ones still holds is kept.
func stored(tx *meta.Tx, at epoch, earlier map[string]*Registry) (map[string]*Registry, error) {
	docs, err := meta.List[acr.Registry](tx, "", maxRegistries)
	if err != nil {
		return nil, err
	}
	secrets, err := tx.Secrets(acr.AdminSecret("", "")[:len("admin/")])
	if err != nil {
		return nil, err
	}
	passwords := map[string]string{}
	for _, s := range secrets {
		passwords[s.Name] = string(s.Value)
	}
	contents, err := contentKeys(tx)
	if err != nil {
		return nil, err
	}
	ended, err := revoked(tx)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*Registry, len(docs))
	for _, doc := range docs {
		reg := &Registry{Registry: doc, Key: doc.Key(), epoch: at, revocations: ended}
		was := earlier[reg.Key]
		if was != nil && was.UID == reg.UID {
			reg.ID = was.ID
		} else if reg.ID, err = tx.Registry(reg.Key); err != nil {
			return nil, err
		}
		for i, name := range []string{acr.Password1, acr.Password2} {
			reg.passwords[i] = passwords[acr.AdminSecret(doc.UID, name)]
		}
		if err := reg.openContents(tx, contents[acr.ContentKeySecret(reg.ID)], was); err != nil {
			return nil, err
		}
		if was != nil && was.PublicDisabled == reg.PublicDisabled && reflect.DeepEqual(was.Network, reg.Network) {
			reg.network = was.network
		} else {
			reg.network = newNetwork(reg)
		}
		all[reg.Key] = reg
	}
	return all, nil
}

// maxRegistries bounds what one process serves.
const maxRegistries = 10000

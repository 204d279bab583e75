package domain

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

const (
	keyPrefix  = "acme/value/"
	lockPrefix = "acme/lock/"
	lockLife   = 10 * time.Minute // after which a lock whose holder did not come back is anybody's
	lockPause  = 200 * time.Millisecond
)

// storage keeps what certmagic stores as secrets in the metadata: sealed, and the same on every node.
type storage struct {
	db   *meta.DB
	held sync.Map // of locks by name: who holds it
}

var _ certmagic.Storage = (*storage)(nil)

func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	return s.db.Update(ctx, func(tx *meta.Tx) error { return tx.PutSecret(keyPrefix+key, value) })
}

func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	secret, err := s.get(ctx, key)
	return secret.Value, err
}

// get reads a value. Errors: fs.ErrNotExist, which certmagic goes by.
func (s *storage) get(ctx context.Context, key string) (secret meta.Secret, err error) {
	err = s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		secret, err = tx.Secret(keyPrefix + key)
		return err
	})
	if errors.Is(err, fault.NotFound) {
		err = fs.ErrNotExist
	}
	return secret, err
}

// below lists the keys of a directory, at whatever depth.
func (s *storage) below(tx *meta.Tx, dir string) (keys []string, err error) {
	list, err := tx.Secrets(keyPrefix + strings.TrimSuffix(dir, "/") + "/")
	for _, secret := range list {
		keys = append(keys, strings.TrimPrefix(secret.Name, keyPrefix))
	}
	return keys, err
}

func (s *storage) Delete(ctx context.Context, key string) error {
	return s.db.Update(ctx, func(tx *meta.Tx) error {
		keys, err := s.below(tx, key)
		if err != nil {
			return err
		}
		for _, k := range append(keys, key) {
			if err := tx.DeleteSecret(keyPrefix + k); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

func (s *storage) List(ctx context.Context, dir string, recursive bool) (keys []string, err error) {
	err = s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		keys, err = s.below(tx, dir)
		return err
	})
	if err != nil || recursive {
		return keys, err
	}
	for i, key := range keys {
		first, _, _ := strings.Cut(strings.TrimPrefix(key, strings.TrimSuffix(dir, "/")+"/"), "/")
		keys[i] = path.Join(dir, first)
	}
	return slices.Compact(keys), nil
}

func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	secret, err := s.get(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: secret.Created, Size: int64(len(secret.Value)), IsTerminal: true}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return certmagic.KeyInfo{}, err
	}
	keys, listErr := s.List(ctx, key, true)
	if listErr != nil || len(keys) == 0 {
		return certmagic.KeyInfo{}, errors.Join(listErr, err)
	}
	return certmagic.KeyInfo{Key: key}, nil
}

// lock is who holds one, until when.
type lock struct {
	Holder string    `json:"holder"`
	Until  time.Time `json:"until"`
}

func (s *storage) Lock(ctx context.Context, name string) error {
	holder := uuid.NewString()
	for {
		got, err := s.tryLock(ctx, name, holder)
		if err != nil {
			return err
		}
		if got {
			s.held.Store(name, holder)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

func (s *storage) tryLock(ctx context.Context, name, holder string) (got bool, err error) {
	err = s.db.Update(ctx, func(tx *meta.Tx) error {
		now := s.db.Now()
		text, err := json.Marshal(lock{holder, now.Add(lockLife)})
		if err != nil {
			return err
		}
		if got, err = tx.NewSecret(lockPrefix+name, text); err != nil || got {
			return err
		}
		secret, err := tx.Secret(lockPrefix + name)
		if errors.Is(err, fault.NotFound) {
			return nil // it was let go of meanwhile
		}
		var l lock
		if err == nil {
			err = json.Unmarshal(secret.Value, &l)
		}
		if err != nil || now.Before(l.Until) {
			return err
		}
		return tx.DeleteSecret(lockPrefix + name) // and the next attempt may have it
	})
	return got, err
}

func (s *storage) Unlock(ctx context.Context, name string) error {
	holder, ok := s.held.LoadAndDelete(name)
	if !ok {
		return nil
	}
	return s.db.Update(context.WithoutCancel(ctx), func(tx *meta.Tx) error {
		secret, err := tx.Secret(lockPrefix + name)
		if errors.Is(err, fault.NotFound) {
			return nil
		}
		var l lock
		if err == nil {
			err = json.Unmarshal(secret.Value, &l)
		}
		if err != nil || l.Holder != holder {
			return err
		}
		return tx.DeleteSecret(lockPrefix + name)
	})
}

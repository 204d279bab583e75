package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// revocation ends the registry tokens of a subject that were given out before a time.
type revocation struct {
	Registry string    `json:"registry"` // UID
	Kind     string    `json:"kind"`     // of the subject; "" is everybody
	Subject  string    `json:"subject"`
	Before   time.Time `json:"before"`
}

var _ acr.Resource = revocation{}

func (revocation) ResourceType() string { return "Acre.Identity/revocations" }

// Validate has nothing to check: what is revoked need not exist.
func (revocation) Validate() error { return nil }

// revocationID is where it is kept. The name is a digest: a subject may be anything.
func revocationID(uid, kind, subject string) arm.ID {
	sum := sha256.Sum256([]byte(kind + "\x00" + subject))
	return arm.Tenant("Acre.Identity", "revocations", uid+"-"+hex.EncodeToString(sum[:16]))
}

// Revoke ends all refresh and access tokens of a subject on a registry that were given out until now, on every node within
// two seconds. subject is a registry token's name after token:, a principal's object ID after principal:, or admin; * is
// everybody. Who logs in again gets new ones: to keep somebody out, take its rights or passwords away too. It needs the right
// registries/tokens/write. Errors: fault.Unauthenticated, fault.Denied, fault.Invalid.
func (s *Service) Revoke(ctx context.Context, reg *Registry, subject string) error {
	if err := (Policy{}).Control(ctx, s.scope(reg).String(), "Microsoft.ContainerRegistry/registries/tokens/write"); err != nil {
		return err
	}
	kind, id, err := parseSubject(subject)
	if err != nil {
		return err
	}
	r := revocation{reg.UID, kind, id, s.opt.DB.Now().UTC()}
	at := revocationID(reg.UID, kind, id)
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		tx.OnCommit(s.opt.Registries.Forget)
		_, version, err := meta.Get[revocation](tx, at)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		return meta.Put(tx, at, r, version)
	})
}

// revoked is until when tokens of a subject count no more, in milliseconds.
func (s *Service) revoked(ctx context.Context, reg *Registry, c claim) (int64, error) {
	var before int64
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		before = 0
		for _, id := range []arm.ID{revocationID(reg.UID, "", ""), revocationID(reg.UID, c.Kind, c.ID)} {
			r, _, err := meta.Get[revocation](tx, id)
			if err != nil && !errors.Is(err, fault.NotFound) {
				return err
			}
			if err == nil {
				before = max(before, r.Before.UnixMilli())
			}
		}
		return nil
	})
	return before, err
}

func parseSubject(subject string) (kind, id string, err error) {
	kind, id, named := strings.Cut(subject, ":")
	switch {
	case subject == "*":
		return "", "", nil
	case subject == adminSubject:
		return adminSubject, "", nil
	case named && id != "" && kind == tokenSubject:
		return kind, strings.ToLower(id), nil
	case named && id != "" && kind == principalSubject:
		return kind, id, nil
	}
	return "", "", fault.New(fault.Invalid, "%.100q names nobody whose tokens could be revoked: use token:NAME, principal:OBJECT-ID, admin or *", subject)
}

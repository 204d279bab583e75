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
		return errors.Join(s.forgetRevocations(tx), meta.Put(tx, at, r, version))
	})
}

// RevokeOn is Revoke for a registry by name. Errors: also fault.NotFound.
func (s *Service) RevokeOn(ctx context.Context, registry, subject string) error {
	reg, err := s.opt.Registries.Get(ctx, strings.ToLower(registry))
	if err != nil {
		return err
	}
	return s.Revoke(ctx, reg, subject)
}

// forgetRevocations removes those that every token they were for has ended since.
func (s *Service) forgetRevocations(tx *meta.Tx) error {
	list, err := meta.List[revocation](tx, "", revocations)
	if err != nil {
		return err
	}
	for _, r := range list {
		if s.opt.DB.Now().Sub(r.Before) <= 2*max(MaxLife, s.keys.life) {
			continue
		}
		if _, err := meta.Delete(tx, revocationID(r.Registry, r.Kind, r.Subject)); err != nil {
			return err
		}
	}
	return nil
}

// revocations bounds how many a process holds: Revoke removes those that no token can outlive.
const revocations = 100_000

// revoked is until when the tokens of subjects on registries count no more, in milliseconds: by subjectKey, whose kind is
// empty for everybody's.
func revoked(tx *meta.Tx) (map[subjectKey]int64, error) {
	list, err := meta.List[revocation](tx, "", revocations)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	out := make(map[subjectKey]int64, len(list))
	for _, r := range list {
		out[subjectKey{r.Registry, r.Kind, r.Subject}] = r.Before.UnixMilli()
	}
	return out, nil
}

// revoked is until when the subject's tokens count no more.
func (r *Registry) revoked(c claim) int64 {
	if len(r.revocations) == 0 {
		return 0
	}
	return max(r.revocations[subjectKey{uid: r.UID}], r.revocations[subjectKey{r.UID, c.Kind, c.ID}])
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

package resource

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Operations on diagnostic settings: those of the provider of logs and metrics, or those of the registry's that stand for them.
const (
	insightsDiagnostics = "Microsoft.Insights/diagnosticSettings/"
	registryDiagnostics = arm.Provider + "/registries/providers/Microsoft.Insights/diagnosticSettings/"
)

var (
	sinkInUse       = fault.Code{Kind: fault.Conflict, Name: "Conflict"}
	diagnosticQuota = fault.Code{Kind: fault.Disallowed, Name: "QuotaExceeded"}
)

// mayDiagnose asks for the right to do something with a registry's diagnostic settings. Who writes them may remove them by the
// registry's operations, which have no other.
func mayDiagnose(ctx context.Context, registry arm.ID, verb string) error {
	if registry.Type() != "registries" || !strings.EqualFold(registry.Provider, arm.Provider) {
		return fault.New(fault.Unsupported, "The resource '%s' does not support diagnostic settings: registries do.", registry)
	}
	own := verb
	if verb == "delete" {
		own = "write"
	}
	if control(ctx, registry.String(), registryDiagnostics+own) == nil {
		return nil
	}
	return control(ctx, registry.String(), insightsDiagnostics+verb)
}

// DiagnosticSettings lists those of a registry, by name. Errors: fault.NotFound of the registry.
func (s *Service) DiagnosticSettings(ctx context.Context, registry arm.ID) (list []acr.DiagnosticSetting, err error) {
	if err := mayDiagnose(ctx, registry, "read"); err != nil {
		return nil, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		kept, err := s.Registries.get(tx, registry)
		if err == nil {
			list, err = meta.ListUnder[acr.DiagnosticSetting](tx, kept.ID.String(), "", acr.MaxDiagnosticSettings)
		}
		return err
	})
	return list, err
}

// DiagnosticRegistry tells how a registry's ID is spelled, to who may read its diagnostic settings. Errors: fault.NotFound.
func (s *Service) DiagnosticRegistry(ctx context.Context, registry arm.ID) (id arm.ID, err error) {
	if err := mayDiagnose(ctx, registry, "read"); err != nil {
		return id, err
	}
	err = s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		kept, err := s.Registries.get(tx, registry)
		id = kept.ID
		return err
	})
	return id, err
}

// DiagnosticSetting reads one. Errors: fault.NotFound.
func (s *Service) DiagnosticSetting(ctx context.Context, registry arm.ID, name string) (d acr.DiagnosticSetting, err error) {
	if err := mayDiagnose(ctx, registry, "read"); err != nil {
		return d, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		if _, err := s.Registries.get(tx, registry); err != nil {
			return err
		}
		d, _, err = meta.Get[acr.DiagnosticSetting](tx, acr.DiagnosticSettingID(registry, name))
		if errors.Is(err, fault.NotFound) {
			err = fault.New(notFound, "The diagnostic setting '%.260s' does not exist.", name)
		}
		return err
	})
	return d, err
}

// PutDiagnosticSetting writes one whole. Errors: fault.Conflict where another setting of the registry sends the same to the same
// place.
func (s *Service) PutDiagnosticSetting(ctx context.Context, registry arm.ID, d acr.DiagnosticSetting) (acr.DiagnosticSetting, error) {
	if err := mayDiagnose(ctx, registry, "write"); err != nil {
		return d, err
	}
	err := s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		kept, err := s.Registries.get(tx, registry)
		if err != nil {
			return err
		}
		id := acr.DiagnosticSettingID(kept.ID, d.Name)
		old, version, err := meta.Hold[acr.DiagnosticSetting](tx, id)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		if version > 0 {
			d.Name, d.System = old.Name, old.System
		}
		s.stamp(ctx, &d.System)
		if err := errors.Join(meta.Put(tx, id, d, version), s.unlocked(ctx, tx, kept.ID.String(), "write", false)); err != nil {
			return err
		}
		list, err := meta.ListUnder[acr.DiagnosticSetting](tx, kept.ID.String(), "", acr.MaxDiagnosticSettings+1)
		if err == nil && len(list) > acr.MaxDiagnosticSettings {
			err = fault.New(diagnosticQuota, "The registry %s has %d diagnostic settings already: delete one first.", kept.Doc.Name, acr.MaxDiagnosticSettings)
		}
		return errors.Join(err, sinksFree(d, list))
	})
	return d, err
}

// sinksFree refuses a setting that sends what another sends to the same place.
func sinksFree(d acr.DiagnosticSetting, all []acr.DiagnosticSetting) error {
	for _, other := range all {
		if strings.EqualFold(other.Name, d.Name) {
			continue
		}
		for _, sink := range d.Sinks() {
			if !slices.ContainsFunc(other.Sinks(), func(o acr.Sink) bool { return o.Member == sink.Member && strings.EqualFold(o.Value, sink.Value) }) {
				continue
			}
			for _, what := range d.Sends() {
				if slices.Contains(other.Sends(), what) {
					return fault.New(sinkInUse, "Data sink '%s' is already used in diagnostic setting '%s' for category '%s'. Data sinks can't be reused in different settings on the same category for the same resource.",
						sink.Value, other.Name, what)
				}
			}
		}
	}
	return nil
}

// DeleteDiagnosticSetting removes one; existed is false where there was none.
func (s *Service) DeleteDiagnosticSetting(ctx context.Context, registry arm.ID, name string) (existed bool, err error) {
	if err := mayDiagnose(ctx, registry, "delete"); err != nil {
		return false, err
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		kept, err := s.Registries.get(tx, registry)
		if err != nil {
			return err
		}
		existed, err = meta.Delete(tx, acr.DiagnosticSettingID(kept.ID, name))
		return errors.Join(err, s.unlocked(ctx, tx, kept.ID.String(), "delete", false))
	})
	return existed, err
}

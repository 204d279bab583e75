package controlplane

import (
	"cmp"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

type statusWire struct {
	Status string `json:"status"`
}

type policiesWire struct {
	Quarantine statusWire     `json:"quarantinePolicy"`
	Trust      trustWire      `json:"trustPolicy"`
	Retention  retentionWire  `json:"retentionPolicy"`
	Export     statusWire     `json:"exportPolicy"`
	ArmTokens  statusWire     `json:"azureADAuthenticationAsArmPolicy"`
	SoftDelete softDeleteWire `json:"softDeletePolicy"`
}

type trustWire struct {
	Type   string `json:"type"`
	Status string `json:"status"`
}

type retentionWire struct {
	Days        int    `json:"days"`
	LastUpdated string `json:"lastUpdatedTime"`
	Status      string `json:"status"`
}

type softDeleteWire struct {
	Days        int    `json:"retentionDays"`
	LastUpdated string `json:"lastUpdatedTime"`
	Status      string `json:"status"`
}

func wirePolicies(r acr.Registry) policiesWire {
	since := func(at time.Time) string {
		if at.IsZero() {
			at = r.CreatedAt
		}
		return wireTime(at)
	}
	enabled := func(on bool) string { return either(on, "enabled", "disabled") }
	p := r.Policies
	return policiesWire{
		Quarantine: statusWire{enabled(p.Quarantine)},
		Trust:      trustWire{"Notary", enabled(p.Trust)},
		Retention:  retentionWire{p.Retention.Days(), since(p.Retention.UpdatedAt), enabled(p.Retention.Enabled)},
		Export:     statusWire{enabled(!p.ExportOff)},
		ArmTokens:  statusWire{enabled(!r.ArmAudienceOff)},
		SoftDelete: softDeleteWire{p.SoftDelete.Days(), since(p.SoftDelete.UpdatedAt), enabled(p.SoftDelete.Enabled)},
	}
}

// policiesBody is what a body says of policies: each by itself, and in each every member by itself.
type policiesBody struct {
	Quarantine member[policyBody] `json:"quarantinePolicy"`
	Trust      member[policyBody] `json:"trustPolicy"`
	Retention  member[policyBody] `json:"retentionPolicy"`
	Export     member[policyBody] `json:"exportPolicy"`
	ArmTokens  member[policyBody] `json:"azureADAuthenticationAsArmPolicy"`
	SoftDelete member[policyBody] `json:"softDeletePolicy"`
}

type policyBody struct {
	Status        member[string] `json:"status"`
	Type          member[string] `json:"type"`
	Days          member[int]    `json:"days"`
	RetentionDays member[int]    `json:"retentionDays"`
}

// onto writes the policies over a registry's: null is what a new registry has.
func (b policiesBody) onto(null bool, r *acr.Registry) error {
	if null {
		r.Policies, r.ArmAudienceOff = acr.Policies{}, false
		return nil
	}
	p := &r.Policies
	if t := b.Trust.Value.Type; t.Set && !t.Null && spelled(t.Value, "Notary") != "Notary" {
		return fault.New(fault.Invalid, "The property 'trustPolicy.type' has the value '%.60s': it must be Notary.", t.Value)
	}
	for _, policy := range []struct {
		name    string
		in      member[policyBody]
		off, on string
		to      *bool
		days    *member[int]
		age     *acr.AgePolicy
	}{
		{"quarantinePolicy", b.Quarantine, "disabled", "enabled", &p.Quarantine, nil, nil},
		{"trustPolicy", b.Trust, "disabled", "enabled", &p.Trust, nil, nil},
		{"retentionPolicy", b.Retention, "disabled", "enabled", &p.Retention.Enabled, &b.Retention.Value.Days, &p.Retention},
		{"exportPolicy", b.Export, "enabled", "disabled", &p.ExportOff, nil, nil},
		{"azureADAuthenticationAsArmPolicy", b.ArmTokens, "enabled", "disabled", &r.ArmAudienceOff, nil, nil},
		{"softDeletePolicy", b.SoftDelete, "disabled", "enabled", &p.SoftDelete.Enabled, &b.SoftDelete.Value.RetentionDays, &p.SoftDelete},
	} {
		status := policy.in.Value.Status
		if policy.in.Null {
			status = member[string]{Set: true, Null: true}
		}
		if err := choose(status, policy.name+".status", policy.off, policy.on, policy.to); err != nil {
			return err
		}
		if policy.age == nil {
			continue
		}
		switch {
		case policy.in.Null, policy.days.Null:
			policy.age.Age = nil
		case policy.days.Set:
			policy.age.Age = &policy.days.Value
		}
	}
	return nil
}

// notEnforced names the settings of a registry that are on and that this version keeps without acting on them.
func notEnforced(r acr.Registry) []string {
	out := []string{}
	for _, setting := range []struct {
		on   bool
		name string
	}{
		{r.Policies.Quarantine, "quarantinePolicy"}, {r.Policies.Trust, "trustPolicy"}, {r.Policies.Retention.Enabled, "retentionPolicy"},
		{r.Policies.SoftDelete.Enabled, "softDeletePolicy"}, {len(r.Network.Subnets) > 0, "virtualNetworkRules"},
		{r.DualStack, "endpointProtocol"}, {r.BypassTasks, "networkRuleBypassAllowedForTasks"}, {r.ZoneRedundant, "zoneRedundancy"},
		{r.MetadataSearch, "metadataSearch"}, {r.WritableCache, "writableCacheRepos"},
	} {
		if setting.on {
			out = append(out, setting.name)
		}
	}
	return out
}

func orUnsecure(scope acr.LabelScope) string { return string(cmp.Or(scope, acr.Unsecure)) }

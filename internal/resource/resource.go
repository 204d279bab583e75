// Package resource is the control plane's service: it holds the rules of resources and stores them, in one pipeline with a
// table of kinds. Rights are asked first, by the operations of the management API; a change is checked and written in one
// transaction. It renders nothing: IDs, documents and faults go to the faces.
package resource

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Installation is under which tenant, subscription and group the first start put everything.
type Installation struct {
	Tenant       string `json:"tenant"`
	Subscription string `json:"subscription"`
	Group        string `json:"group"`
}

// Options of the service.
type Options struct {
	DB         *meta.DB
	Registries *auth.Registries
	// Installation is what a new store gets where it is not zero; else its IDs are random.
	Installation Installation
	// Principals tells whom roles may be assigned to; nil: whoever is named.
	Principals auth.Principals
	// Tiers are what registries of each tier may have; nil: acr.DefaultTiers.
	Tiers acr.Tiers
	// Identities keeps the service principals of managed identities; nil: there are none.
	Identities Identities
	// Importer copies what is imported; nil: nothing can be.
	Importer Importer
	// Wake tells the queue that there is work; nil: it looks by itself.
	Wake func()
	// Domains proves control over custom domains and gets their certificates; nil: none can be added.
	Domains Domains
	// KeepDeleted is how long a registry that was deleted can be restored; 0: it cannot.
	KeepDeleted time.Duration
	// Encrypt gives every registry a key with which its contents are sealed.
	Encrypt bool
	// Immediate runs operations before they are answered, for clients that shall not wait.
	Immediate bool
}

// Service keeps resources.
type Service struct {
	opt          Options
	installation Installation
	workers      map[string]worker // by type in lower case
	inOrder      []worker          // as they were enlisted
	importing    chan struct{}     // those under way here

	Groups           *Kind[acr.ResourceGroup]
	Registries       *Kind[acr.Registry]
	PrivateEndpoints *Kind[acr.PrivateEndpointConnection]
	ScopeMaps        *Kind[acr.ScopeMap]
	Tokens           *Kind[acr.Token]
	Identities       *Kind[acr.ManagedIdentity]
	Issuers          *Kind[acr.TrustedIssuer]
	Vaults           *Kind[acr.Vault]
	Tasks            *Kind[acr.Task]
	Runs             *Kind[acr.Run]
	TaskRuns         *Kind[acr.TaskRun]
	AgentPools       *Kind[acr.AgentPool]

	Webhooks            *Kind[acr.Webhook]
	Replications        *Kind[acr.Replication]
	CacheRules          *Kind[acr.CacheRule]
	CredentialSets      *Kind[acr.CredentialSet]
	ConnectedRegistries *Kind[acr.ConnectedRegistry]
	ExportPipelines     *Kind[acr.ExportPipeline]
	ImportPipelines     *Kind[acr.ImportPipeline]
	PipelineRuns        *Kind[acr.PipelineRun]
	CustomDomains       *Kind[acr.CustomDomain]
}

// New opens the service and, in a new store, settles the installation's IDs. Of nodes that start at once one does, and
// all go by what it wrote.
func New(ctx context.Context, opt Options) (*Service, error) {
	proposed := opt.Installation
	if proposed == (Installation{}) {
		proposed = Installation{uuid.NewString(), uuid.NewString(), "acre"}
	}
	doc, err := json.Marshal(proposed)
	if err != nil {
		return nil, err
	}
	if opt.Tiers == nil {
		opt.Tiers = acr.DefaultTiers()
	}
	s := &Service{opt: opt, importing: make(chan struct{}, importsAtOnce)}
	s.kinds()
	s.tracks()
	err = opt.DB.Update(ctx, func(tx *meta.Tx) error {
		if _, err := tx.NewSecret("installation", doc); err != nil {
			return err
		}
		kept, err := tx.Secret("installation")
		if err != nil {
			return err
		}
		if err := json.Unmarshal(kept.Value, &s.installation); err != nil {
			return err
		}
		return errors.Join(s.settleGroup(tx), s.keyContents(tx))
	})
	return s, err
}

// kinds fills the table.
func (s *Service) kinds() {
	s.PrivateEndpoints = enlist(s, s.privateEndpoints())
	s.Groups, s.Registries = enlist(s, s.groups()), enlist(s, s.registries())
	s.ScopeMaps, s.Tokens = enlist(s, s.scopeMaps()), enlist(s, s.tokens())
	s.Identities, s.Issuers = enlist(s, s.identities()), enlist(s, s.issuers())
	s.Vaults = enlist(s, s.vaults())
	s.Tasks, s.Runs, s.TaskRuns, s.AgentPools = enlist(s, s.tasks()), enlist(s, s.runs()), enlist(s, s.taskRuns()), enlist(s, s.agentPools())
	s.Webhooks, s.Replications = enlist(s, s.webhooks()), enlist(s, s.replications())
	s.CacheRules, s.CredentialSets = enlist(s, s.cacheRules()), enlist(s, s.credentialSets())
	s.ConnectedRegistries = enlist(s, s.connectedRegistries())
	s.ExportPipelines, s.ImportPipelines, s.PipelineRuns = enlist(s, s.exportPipelines()), enlist(s, s.importPipelines()), enlist(s, s.pipelineRuns())
	s.CustomDomains = enlist(s, s.customDomains())
}

// Installation is under which tenant, subscription and group everything is.
func (s *Service) Installation() Installation { return s.installation }

// limits are those of a tier.
func (s *Service) limits(sku string) acr.TierLimits { return s.opt.Tiers[sku] }

// parent is the registry that a resource lies in, at whatever depth, and zero for what lies in a group or in the tenant.
// Errors: not found, of the subscription, the group or the registry.
func (s *Service) parent(tx *meta.Tx, id arm.ID) (Parent, error) {
	in, _, err := s.around(tx, id)
	return in, err
}

// around is parent, and tells whether the group is being deleted.
func (s *Service) around(tx *meta.Tx, id arm.ID) (in Parent, closing bool, err error) {
	if closing, err = s.within(tx, id.Subscription, id.Group); err != nil {
		return in, false, err
	}
	above, ok := id.Parent()
	if !ok || id.Provider == arm.Resources {
		return in, closing, nil
	}
	above.Types, above.Names = above.Types[:1], above.Names[:1]
	reg, version, err := meta.Get[acr.Registry](tx, above)
	if errors.Is(err, fault.NotFound) {
		return in, false, missingParent(above)
	}
	return Parent{s.IDOf(reg), reg, version}, closing, err
}

// inside tells whether there is such a subscription, with such a group in it; "" is the tenant, and no group.
func (s *Service) inside(tx *meta.Tx, subscription, group string) error {
	_, err := s.within(tx, subscription, group)
	return err
}

// within is inside, and tells whether the group is being deleted.
func (s *Service) within(tx *meta.Tx, subscription, group string) (closing bool, err error) {
	if subscription != "" && !strings.EqualFold(subscription, s.installation.Subscription) {
		return false, missingSubscription(subscription)
	}
	if group == "" {
		return false, nil
	}
	g, _, err := meta.Get[acr.ResourceGroup](tx, acr.ResourceGroupID(subscription, group))
	if errors.Is(err, fault.NotFound) {
		return false, missingGroup(group)
	}
	return g.Provisioning.State == acr.Deleting, err
}

// listed reads the parent of a list: in is the registry, if it is one, and inside an ID below it.
func (s *Service) listed(tx *meta.Tx, parent string) (in Parent, inside arm.ID, err error) {
	if p, err := arm.ParsePath(parent); err == nil && p.Provider != arm.Resources && !p.Collection() {
		child := p.ID().Child("", "")
		in, err = s.parent(tx, child)
		return in, child, err
	}
	p, _ := arm.ParsePath(strings.TrimSuffix(parent, "/") + "/providers/x/y/z")
	return Parent{}, p.ID(), s.inside(tx, p.Subscription, p.Group)
}

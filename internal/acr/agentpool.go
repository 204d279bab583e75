package acr

import (
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// AgentPool is the resource registries/agentPools: machines on which a registry's runs execute.
type AgentPool struct {
	Name      string            `json:"name"`
	Location  string            `json:"location"`
	Tags      map[string]string `json:"tags,omitempty"`
	Count     int               `json:"count"`
	Tier      string            `json:"tier"`
	OS        string            `json:"os"`
	Subnet    string            `json:"subnet,omitempty"` // the ID of the virtual network's subnet
	CreatedAt time.Time         `json:"createdAt"`
	System    SystemData        `json:"systemData,omitzero"`

	Provisioning Provisioning `json:"provisioning,omitzero"`
}

func (AgentPool) ResourceType() string { return "registries/agentPools" }

// Provisions is how far it is.
func (p *AgentPool) Provisions() *Provisioning { return &p.Provisioning }

// poolTiers are the machines that there are.
var poolTiers = map[string]PoolTier{"S1": {CPU: 2}, "S2": {CPU: 4}, "S3": {CPU: 8}, "I6": {CPU: 64, Isolated: true}}

// PoolTier is what a machine of a pool is.
type PoolTier struct {
	CPU      int
	Isolated bool // no other customer's machine is on the same host
}

// What the pools of a registry may have in all, unless somebody raises it.
const (
	MaxPoolCPUs         = 16
	MaxIsolatedPoolCPUs = 0
)

// Machine is what each of the pool's is.
func (p AgentPool) Machine() PoolTier { return poolTiers[p.Tier] }

// CPUs are those of all its machines.
func (p AgentPool) CPUs() int { return p.Count * p.Machine().CPU }

// Complete settles what is left open and how words are spelled.
func (p *AgentPool) Complete() {
	settle(&p.Tier, poolTierNames...)
	settle(&p.OS, Linux, Windows)
}

var (
	agentPoolNames = nameRule{"agent pool", 3, 20, "-", "3 to 20 letters, digits and dashes"}
	poolTierNames  = []string{"S1", "S2", "S3", "I6"}
)

const maxAgents = 1000

// Validate checks the name and what it is made of.
func (p AgentPool) Validate() error {
	if err := agentPoolNames.check(p.Name); err != nil {
		return err
	}
	what := "agent pool " + p.Name
	switch {
	case p.OS == Windows:
		return fault.New(fault.Invalid, "%s: its machines run %s: there are none with %s", what, Linux, Windows)
	case p.Count < 0 || p.Count > maxAgents:
		return fault.New(fault.Invalid, "%s: count %d is not between 0 and %d", what, p.Count, maxAgents)
	case p.Subnet != "" && !isSubnet(p.Subnet):
		return fault.New(fault.Invalid, "%s: virtualNetworkSubnetResourceId %.200q is not the ID of a subnet: it looks like "+
			"/subscriptions/{id}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{network}/subnets/{subnet}", what, p.Subnet)
	}
	return first(checkTags(what, p.Tags), checkWord(what+": tier", p.Tier, poolTierNames...), checkWord(what+": os", p.OS, Linux))
}

func isSubnet(s string) bool {
	id, err := arm.ParseID(s)
	return err == nil && strings.EqualFold(id.Provider, "Microsoft.Network") && id.Type() == "virtualnetworks/subnets" && len(s) <= maxText
}

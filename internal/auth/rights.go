package auth

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
)

// bits is a set of actions on one scope.
type bits uint16

// The actions of repositories come first, in the order of repositoryActs.
const (
	pullBit bits = 1 << iota
	pushBit
	deleteBit
	metadataReadBit
	metadataWriteBit
	deletedReadBit
	deletedRestoreBit
	overwriteBit

	catalogBit
	deletedCatalogBit

	configReadBit
	configWriteBit
	messageReadBit
	messageWriteBit

	repositoryBits = catalogBit - 1
	registryBits   = catalogBit | deletedCatalogBit
	gatewayBits    = configReadBit | configWriteBit | messageReadBit | messageWriteBit

	// tentative are the actions that what a request does not name, such as the tag of a blob, does not stand in the way of:
	// they read, or add what nothing leads to yet. All others need a condition to hold for certain.
	tentative = pullBit | pushBit | metadataReadBit
)

var (
	repositoryActs = []acr.Action{acr.Pull, acr.Push, acr.Delete, acr.MetadataRead, acr.MetadataWrite, acr.DeletedRead, acr.DeletedRestore, acr.Overwrite}
	gatewayActs    = []acr.Action{acr.ConfigRead, acr.ConfigWrite, acr.MessageRead, acr.MessageWrite}
)

// bitsOf is what act on a scope of this type and name amounts to; 0 is nothing that anybody may.
func bitsOf(act acr.Action, kind, name string) bits {
	switch kind {
	case "repository":
		if act == acr.All {
			return repositoryBits
		}
		if i := slices.Index(repositoryActs, act); i >= 0 {
			return 1 << i
		}
	case "registry":
		switch {
		case name == acr.Catalog.Name && act == acr.All:
			return catalogBit
		case name == acr.DeletedCatalog.Name && (act == acr.All || act == acr.DeletedRead):
			return deletedCatalogBit
		case name == "*" && act == acr.All:
			return registryBits
		}
	case "gateway":
		if act == acr.All {
			return gatewayBits
		}
		if i := slices.Index(gatewayActs, act); i >= 0 {
			return configReadBit << i
		}
	}
	return 0
}

// rights is what a subject may do on a registry, as of an epoch.
type rights struct {
	stamp
	now     func() time.Time
	err     error // why it may not even log in any more
	covered bool  // something gives it rights here, be it none on contents

	// On repositories and catalogs: everywhere, by a repository's name, by a prefix that ends in a slash.
	everywhere bits
	names      map[string]bits
	prefixes   map[string]bits
	gateways   map[string]bits
	rules      []rule // those with a condition

	ownCatalog  bool         // who may not list the catalog sees in it what it may read
	credentials []credential // what tokens may have been got with; nil: anything
	before      int64        // tokens that were made until then do not count, in milliseconds; 0: all do
	network     *network
	log         *slog.Logger
	person      *person // of a principal
}

// credential is a way to log in, by the name that tokens have for it.
type credential struct {
	id     string
	expiry time.Time // zero: never
}

// rule is what a role assignment gives under a condition.
type rule struct {
	*assigned
	repository    string // "" is every one
	actions, data bits   // by the role's actions, by its data actions
}

// add gives what grants give.
func (r *rights) add(grants []acr.Grant) {
	for _, g := range grants {
		r.covered = true
		var b bits
		for _, act := range g.Actions {
			b |= bitsOf(act, g.Type, g.Name)
		}
		if b&pushBit != 0 {
			b |= overwriteBit
		}
		switch {
		case g.Type == "gateway":
			r.put(&r.gateways, g.Name, b)
		case g.Type == "registry", g.Name == "*":
			r.everywhere |= b
		case strings.HasSuffix(g.Name, "/*"):
			r.put(&r.prefixes, strings.TrimSuffix(g.Name, "*"), b)
		default:
			r.put(&r.names, g.Name, b)
		}
	}
}

func (*rights) put(in *map[string]bits, name string, b bits) {
	if *in == nil {
		*in = map[string]bits{}
	}
	(*in)[name] |= b
}

// may is whether the subject may do act on a scope, for a request from an address. A scope whose name is * is every
// repository, which rules with a condition never amount to.
func (r *rights) may(act acr.Action, on acr.Scope, source netip.Addr) bool {
	want := bitsOf(act, on.Type, on.Name)
	if want == 0 || r.err != nil {
		return false
	}
	if on.Type == "gateway" {
		return want&^r.gateways[on.Name] == 0
	}
	if want &^= r.everywhere; want == 0 {
		return true
	}
	if on.Type == "repository" {
		want &^= r.byName(on.Name)
	}
	if want == 0 {
		return true
	}
	if len(r.rules) == 0 || on.Name == "*" {
		return false
	}
	at := acr.Attributes{Tag: on.Tag, Digest: on.Digest, Source: source, Time: r.now()}
	if on.Type == "repository" {
		at.Repository = on.Name
	}
	for i := range r.rules {
		if want &^= r.rules[i].gives(want, at); want == 0 {
			return true
		}
	}
	return false
}

// byName is what the repository's name and the prefixes that cover it give.
func (r *rights) byName(name string) bits {
	b := r.names[name]
	if len(r.prefixes) == 0 {
		return b
	}
	for i := range len(name) {
		if name[i] == '/' {
			b |= r.prefixes[name[:i+1]]
		}
	}
	return b
}

// gives is what of want the rule gives a request.
func (u *rule) gives(want bits, at acr.Attributes) bits {
	if u.repository != "" && u.repository != at.Repository {
		return 0
	}
	var given bits
	for b := pullBit; b <= deletedCatalogBit; b <<= 1 {
		if want&b == 0 || (u.actions|u.data)&b == 0 {
			continue
		}
		op := operations[b]
		if u.actions&b != 0 && u.holds(b, op.action, at) || u.data&b != 0 && u.holds(b, op.data, at) {
			given |= b
		}
	}
	return given
}

// holds is whether the condition lets an operation be done.
func (u *rule) holds(b bits, op string, at acr.Attributes) bool {
	switch {
	case u.broken != nil:
		return false
	case b&tentative != 0:
		return u.condition.Might(op, at)
	}
	return u.condition.Surely(op, at)
}

// reader tells which repositories may be read.
func (r *rights) reader(source netip.Addr) func(repository string) bool {
	return func(repository string) bool {
		on := acr.Repository(repository)
		return r.may(acr.MetadataRead, on, source) || r.may(acr.Pull, on, source)
	}
}

// operation is what a role must allow for an action on contents.
type operation struct{ action, data string }

// operations by bit.
var operations = func() map[bits]operation {
	out := map[bits]operation{}
	of := func(act acr.Action) operation {
		action, data := acr.BothPermissions.Operations(act)
		return operation{action, data}
	}
	for i, act := range repositoryActs {
		out[1<<i] = of(act)
	}
	out[catalogBit], out[deletedCatalogBit] = of(acr.All), of(acr.DeletedRead)
	return out
}()

package acr_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	ip := func(values ...string) (out []acr.IPRule) {
		for _, v := range values {
			out = append(out, acr.IPRule{Action: acr.Allow, Value: v})
		}
		return out
	}
	closed := acr.NetworkRules{DefaultAction: acr.Deny, IPRules: ip("203.0.113.7", "10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "198.51.100.128/25")}
	ci := acr.NetworkRules{DefaultAction: acr.Deny, Rules: []acr.AccessRule{
		{Name: "blocked", Action: acr.Deny, Sources: []string{"10.66.0.0/16"}},
		{Name: "robot", Action: acr.Deny, Identities: []string{"robot"}, Operations: []acr.Action{acr.Delete}},
		{Name: "push-from-ci", Action: acr.Allow, Sources: []string{"10.0.0.0/8"}, Operations: []acr.Action{acr.Push}},
		{Name: "pull", Action: acr.Allow, Operations: []acr.Action{acr.Pull, acr.MetadataRead}, Repositories: []string{"public/*", "hello"}},
		{Name: "team", Action: acr.Allow, Sources: []string{"192.0.2.0/24"}, Repositories: []string{"*"}},
	}}
	for _, tt := range []struct {
		name  string
		rules acr.NetworkRules
		query acr.NetworkQuery
		addr  string
		want  bool
		rule  string
	}{
		{"no rules", acr.NetworkRules{}, acr.NetworkQuery{}, "192.0.2.1", true, "default action"},
		{"closed", acr.NetworkRules{DefaultAction: acr.Deny}, acr.NetworkQuery{}, "192.0.2.1", false, "default action"},
		{"one address", closed, acr.NetworkQuery{}, "203.0.113.7", true, "203.0.113.7"},
		{"beside it", closed, acr.NetworkQuery{}, "203.0.113.8", false, "default action"},
		{"the wider range", closed, acr.NetworkQuery{}, "10.1.2.3", true, "10.0.0.0/8"},
		{"its end", closed, acr.NetworkQuery{}, "10.255.255.255", true, "10.0.0.0/8"},
		{"behind its end", closed, acr.NetworkQuery{}, "11.0.0.0", false, "default action"},
		{"half a range", closed, acr.NetworkQuery{}, "198.51.100.127", false, "default action"},
		{"version 6", closed, acr.NetworkQuery{}, "2001:db8:ffff::1", true, "2001:db8::/32"},
		{"not version 6", closed, acr.NetworkQuery{}, "2001:db9::1", false, "default action"},
		{"mapped", closed, acr.NetworkQuery{}, "::ffff:10.0.0.1", true, "10.0.0.0/8"},
		{"with a zone", closed, acr.NetworkQuery{}, "2001:db8::1%eth0", true, "2001:db8::/32"},

		{"blocked comes first", ci, acr.NetworkQuery{}, "10.66.1.1", false, "blocked"},
		{"may come in to push", ci, acr.NetworkQuery{}, "10.1.1.1", true, "push-from-ci"},
		{"may come in to pull", ci, acr.NetworkQuery{}, "203.0.113.1", true, "pull"},
		{"push from ci", ci, acr.NetworkQuery{Repository: "app", Action: acr.Push}, "10.1.1.1", true, "push-from-ci"},
		{"overwrite from ci", ci, acr.NetworkQuery{Repository: "app", Action: acr.Overwrite}, "10.1.1.1", true, "push-from-ci"},
		{"push from elsewhere", ci, acr.NetworkQuery{Repository: "public/a", Action: acr.Push}, "203.0.113.1", false, "default action"},
		{"pull of public", ci, acr.NetworkQuery{Repository: "public/a", Action: acr.Pull}, "203.0.113.1", true, "pull"},
		{"pull of another", ci, acr.NetworkQuery{Repository: "publicx/a", Action: acr.Pull}, "203.0.113.1", false, "default action"},
		{"delete of the robot", ci, acr.NetworkQuery{Repository: "a", Action: acr.Delete, Identity: "robot"}, "192.0.2.1", false, "robot"},
		{"delete of somebody", ci, acr.NetworkQuery{Repository: "a", Action: acr.Delete, Identity: "jo"}, "192.0.2.1", true, "team"},
		{"the catalog is in no repository", ci, acr.NetworkQuery{Action: acr.Pull}, "203.0.113.1", false, "default action"},
		{"the catalog where all are", ci, acr.NetworkQuery{Action: acr.All}, "192.0.2.1", true, "team"},
		{"nobody knows from where", ci, acr.NetworkQuery{Action: acr.Push}, "", false, "default action"},
	} {
		n, err := tt.rules.Compile()
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if tt.addr != "" {
			tt.query.Addr = netip.MustParseAddr(tt.addr)
		}
		if got, rule := n.Decide(tt.query); got != tt.want || rule != tt.rule {
			t.Errorf("%s: %t by %s, want %t by %s", tt.name, got, rule, tt.want, tt.rule)
		}
	}
}

func TestCompile(t *testing.T) {
	t.Parallel()
	one := func(r acr.AccessRule) acr.NetworkRules { return acr.NetworkRules{Rules: []acr.AccessRule{r}} }
	for _, tt := range []struct {
		name  string
		rules acr.NetworkRules
		want  string
	}{
		{"action", acr.NetworkRules{DefaultAction: "Block"}, `default action "Block"`},
		{"address", acr.NetworkRules{IPRules: []acr.IPRule{{Value: "10.0.0.256"}}}, `"10.0.0.256" is no address`},
		{"range", acr.NetworkRules{IPRules: []acr.IPRule{{Value: "10.0.0.0/33"}}}, `"10.0.0.0/33" is no address and no range`},
		{"zone", acr.NetworkRules{IPRules: []acr.IPRule{{Value: "fe80::1%eth0"}}}, "is no address"},
		{"deny", acr.NetworkRules{IPRules: []acr.IPRule{{Action: acr.Deny, Value: "10.0.0.1"}}}, "use an access rule"},
		{"no name", one(acr.AccessRule{Action: acr.Allow}), `rule name "" is not valid`},
		{"no action", one(acr.AccessRule{Name: "a"}), `access rule a: action ""`},
		{"repository", one(acr.AccessRule{Name: "a", Action: acr.Deny, Repositories: []string{"a*"}}), "its wildcard does not follow a /"},
		{"operation", one(acr.AccessRule{Name: "a", Action: acr.Deny, Operations: []acr.Action{"fly"}}), `operation "fly"`},
		{"source", one(acr.AccessRule{Name: "a", Action: acr.Deny, Sources: []string{"ci"}}), `"ci" is no address`},
		{"twice", acr.NetworkRules{Rules: []acr.AccessRule{{Name: "a", Action: acr.Deny}, {Name: "a", Action: acr.Allow}}}, "two access rules have the name a"},
	} {
		if _, err := tt.rules.Compile(); err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// The search agrees with looking at each range.
func FuzzNetwork(f *testing.F) {
	f.Add([]byte{10, 0, 0, 0, 8, 10, 1, 0, 0, 16, 255, 255, 255, 255, 32, 0, 0, 0, 0, 1}, []byte{10, 1, 2, 3})
	f.Add([]byte{}, []byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, ranges, addr []byte) {
		if len(addr) != 4 {
			return
		}
		a, want := netip.AddrFrom4([4]byte(addr)), false
		rules := acr.NetworkRules{DefaultAction: acr.Deny}
		for ; len(ranges) >= 5; ranges = ranges[5:] {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte(ranges)), int(ranges[4]%33))
			rules.IPRules = append(rules.IPRules, acr.IPRule{Value: p.String()})
			want = want || p.Masked().Contains(a)
		}
		n, err := rules.Compile()
		if err != nil {
			t.Fatal(err)
		}
		got, rule := n.Decide(acr.NetworkQuery{Addr: a})
		if got != want {
			t.Errorf("%s in %v: %t by %s", a, rules.IPRules, got, rule)
		}
	})
}

// many is 5,000 ranges, half of each version.
func many() acr.NetworkRules {
	r := acr.NetworkRules{DefaultAction: acr.Deny}
	for i := range uint32(2500) {
		var four [4]byte
		binary.BigEndian.PutUint32(four[:], 0x0a000000+i<<9)
		r.IPRules = append(r.IPRules, acr.IPRule{Value: netip.PrefixFrom(netip.AddrFrom4(four), 24).String()}, acr.IPRule{Value: fmt.Sprintf("2001:db8:%x::/48", i)})
	}
	for i := range 20 {
		r.Rules = append(r.Rules, acr.AccessRule{Name: fmt.Sprintf("r%d", i), Action: acr.Deny, Repositories: []string{fmt.Sprintf("closed%d/*", i)},
			Operations: []acr.Action{acr.Push}})
	}
	return r
}

func BenchmarkDecide(b *testing.B) {
	n, err := many().Compile()
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range []string{"10.19.134.7", "2001:db8:9c3::1", "192.0.2.1"} {
		b.Run(v, func(b *testing.B) {
			q := acr.NetworkQuery{Addr: netip.MustParseAddr(v), Repository: "team/app", Action: acr.Push, Identity: "jo"}
			for b.Loop() {
				n.Decide(q)
			}
		})
	}
}

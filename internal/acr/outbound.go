package acr

import "net/netip"

// Networks that are nobody's public service: shared, protocol assignments, benchmarks, reserved, translated.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("100::/64"),
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// Outbound says at which addresses a server may call what somebody else has named. What it calls is checked by address, when
// it is called: names may lead anywhere.
type Outbound struct {
	Loopback bool           // this machine
	Private  bool           // private networks
	Allowed  []netip.Prefix // besides
}

// May tells whether an address may be called. Link-local ones, where clouds keep their credentials, never, unless they are
// allowed by name.
func (o Outbound) May(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range o.Allowed {
		if p.Contains(a) {
			return true
		}
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	switch {
	case a.IsLoopback():
		return o.Loopback
	case a.IsPrivate(), sharedSpace.Contains(a):
		return o.Private
	}
	return a.IsGlobalUnicast()
}

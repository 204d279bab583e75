package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// origin fills in where a request comes from. RemoteAddr is believed always; what proxies say only where each of them,
// seen from here, is trusted: then the client is the nearest address that is none of theirs.
func (s *Server) origin(i *Info, r *http.Request) {
	i.Private, i.Secure = s.private, r.TLS != nil
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		i.Address = plain(at.Addr())
	}
	if len(s.proxies) == 0 || !s.trusts(i.Address) {
		return
	}
	if proto := r.Header["X-Forwarded-Proto"]; len(proto) > 0 {
		_, last := cutLast(proto[len(proto)-1])
		i.Secure = strings.EqualFold(last, "https")
	}
	lines := r.Header["X-Forwarded-For"]
	for n := len(lines) - 1; n >= 0; n-- {
		for rest, last := cutLast(lines[n]); ; rest, last = cutLast(rest) {
			hop, ok := parseHop(last)
			if !ok {
				return // what stands further left was not put there by a proxy of ours
			}
			i.Address, i.forwarded = hop, true
			if !s.trusts(hop) {
				return
			}
			if rest == "" {
				break
			}
		}
	}
}

// cutLast cuts a list at its last comma.
func cutLast(list string) (rest, last string) {
	if n := strings.LastIndexByte(list, ','); n >= 0 {
		rest, last = list[:n], list[n+1:]
	} else {
		last = list
	}
	return rest, strings.TrimSpace(last)
}

// parseHop reads an address as proxies write it: bare, in brackets, or with a port.
func parseHop(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return plain(a), true
	}
	if at, err := netip.ParseAddrPort(s); err == nil {
		return plain(at.Addr()), true
	}
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		a, err := netip.ParseAddr(s[1 : len(s)-1])
		return plain(a), err == nil
	}
	return netip.Addr{}, false
}

// plain is an address as rules name it: version 4 as such, no zone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func (s *Server) trusts(a netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Scheme is https where the client speaks TLS, with us or with a trusted proxy.
func Scheme(r *http.Request) string {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if ok && x.info.Secure || !ok && r.TLS != nil {
		return "https"
	}
	return "http"
}

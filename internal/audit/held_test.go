package audit_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/acre-registry/acre/internal/audit"
)

// What throttles refuse has a bounded number of rows, which say how many they stand for, in the registry's own chain.
func TestThrottled(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		const accounts, each = 100, 50
		s.run(audit.Options{Now: clock}, func(a *audit.Service) {
			for i := range accounts * each {
				r := request(429)
				r.Reason, r.Address = "TOOMANYREQUESTS", netip.AddrFrom4([4]byte{192, 0, 2, byte(i % accounts)})
				a.Login(t.Context(), audit.LoginEvent{Request: r, Identity: fmt.Sprintf("user%d", i%accounts), Throttled: true})
			}
		})
		rows, total, named := s.all("demo1"), 0, 0
		for _, r := range rows {
			total += r.Count
			if r.Identity != "" {
				named++
				if r.CallerIPAddress == "" || r.CorrelationID == "" || r.UserAgent == "" || r.ResultDescription != "429" {
					t.Errorf("%+v", r)
				}
			}
		}
		// The clock ticked at most a few times meanwhile, and each tick begins anew.
		if total != accounts*each || named < 32 || len(rows) > 33*8 {
			t.Errorf("%d rows, %d of them named, stand for %d refusals, want %d in 33 rows a second", len(rows), named, total, accounts*each)
		}
		if faults := s.verify(); faults != nil {
			t.Error(faults)
		}
	})
}

package audit

import (
	"sync"

	"github.com/acre-registry/acre/internal/acr"
)

// held gathers what a throttle refused until rows are made of it, once a second: one for each account at an address, with
// their number. Who guesses fast thus is seen, and fills no disk.
type held struct {
	mu     sync.Mutex
	rows   map[holding]*acr.AuditRow
	others map[string]*acr.AuditRow // by registry: what came beyond maxHeld
}

// holding is what refusals have in common that share a row.
type holding struct{ registry, identity, address, reason string }

// maxHeld bounds how many rows tell of a second's refusals; one more for each registry counts the rest.
const maxHeld = 32

// add counts a refusal. The row of the first stands for those that follow, but for what they do not share.
func (h *held) add(registry string, row *acr.AuditRow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := holding{registry, row.Identity, row.CallerIPAddress, row.Reason}
	if first := h.rows[key]; first != nil {
		first.Count++
		return
	}
	row.Count = 1
	if len(h.rows) < maxHeld {
		if h.rows == nil {
			h.rows = map[holding]*acr.AuditRow{}
		}
		h.rows[key] = row
		return
	}
	if rest := h.others[registry]; rest != nil {
		rest.Count++
		return
	}
	if h.others == nil {
		h.others = map[string]*acr.AuditRow{}
	}
	row.Identity, row.CallerIPAddress, row.UserAgent, row.AppID, row.CorrelationID, row.DurationMs = "", "", "", "", "", ""
	h.others[registry] = row
}

// take gives the rows and begins anew.
func (h *held) take() (batch []entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, row := range h.rows {
		batch = append(batch, entry{key.registry, row})
	}
	for registry, row := range h.others {
		batch = append(batch, entry{registry, row})
	}
	h.rows, h.others = nil, nil
	return batch
}

package identity

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// Every kind has a row, and each of the four families renders it.
func TestEveryKindHasARow(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Kinds() {
		to, ok := column[k]
		if !ok || http.StatusText(to.status) == "" || to.status < 400 || to.oauth == "" || to.graph == "" {
			t.Errorf("%v has the row %+v", k, to)
		}
		for name, render := range map[string]web.Render{"oauth": renderOAuth, "managed": renderManaged, "graph": renderGraph, "page": renderPage} {
			w := httptest.NewRecorder()
			render(w, httptest.NewRequest("GET", "/x", nil), fault.New(k, "the text").In(3*time.Second))
			text := "the text"
			if k == fault.Full {
				text = "no space is left" // where, is the operator's to know
			}
			if w.Code < 400 || !strings.Contains(w.Body.String(), text) || w.Header().Get("Retry-After") != "3" {
				t.Errorf("%s renders %v as %d, Retry-After %q, %.300s", name, k, w.Code, w.Header().Get("Retry-After"), w.Body)
			}
		}
	}
	if len(column) != len(fault.Kinds()) {
		t.Errorf("%d rows for %d kinds", len(column), len(fault.Kinds()))
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		status int
		oauth  string
		codes  int
		text   string
	}{
		{failure(fault.Unauthenticated, "invalid_client", 7000215, "Wrong."), 401, "invalid_client", 7000215, "AADSTS7000215: Wrong.\r\nTrace ID: "},
		{failure(fault.Unauthenticated, "unauthorized_client", 700016, "Who?"), 400, "unauthorized_client", 700016, "AADSTS700016: Who?\r\n"},
		{failure(fault.Conflict, "authorization_pending", 70016, "Wait."), 400, "authorization_pending", 70016, "AADSTS70016: Wait.\r\n"},
		{failure(fault.Denied, "authorization_declined", 70018, "No."), 400, "authorization_declined", 70018, "AADSTS70018: No.\r\n"},
		{failure(fault.TooMany, "invalid_grant", 50053, "Slow."), 429, "invalid_grant", 50053, "AADSTS50053: Slow.\r\n"},
		{errors.New("a secret of the server's"), 500, "server_error", 50000, "AADSTS50000: internal error\r\n"},
		{fault.New(fault.Unavailable, "%w", errors.New("a secret of the server's")), 503, "temporarily_unavailable", 90033, "AADSTS90033: the server cannot answer now"},
		{fault.New(fault.NotFound, "nothing is there"), 404, "invalid_request", 0, "nothing is there\r\n"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/x", nil)
		r.Header.Set("Client-Request-Id", "0000ac4e-aaaa")
		renderOAuth(w, r, tt.err)
		var got struct {
			Error       string
			Description string `json:"error_description"`
			Codes       []int  `json:"error_codes"`
			Correlation string `json:"correlation_id"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		code := 0
		if len(got.Codes) > 0 {
			code = got.Codes[0]
		}
		if w.Code != tt.status || got.Error != tt.oauth || code != tt.codes || !strings.HasPrefix(got.Description, tt.text) || got.Correlation != "0000ac4e-aaaa" {
			t.Errorf("%v: %d %s", tt.err, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "secret of") {
			t.Errorf("%s tells what is the operator's to know", w.Body)
		}
	}
	if _, ok := directory.RefusalOf(failure(fault.Invalid, "x", 1, "y")); !ok {
		t.Error("a failure is no refusal")
	}
}

package serve

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/acre-registry/acre/internal/web"
)

func TestTelemetryOff(t *testing.T) {
	t.Parallel()
	off, err := OpenTelemetry(t.Context(), TelemetryConfig{}, "1", nil)
	if err != nil || off != nil {
		t.Fatalf("%v, %v", off, err)
	}
	next := http.NewServeMux()
	if off.Wrap(next) != http.Handler(next) {
		t.Error("a handler was wrapped for nothing")
	}
	if err := off.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Spans reach a collector under their caller's trace, named after the operation.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	received := make(chan *collector.ExportTraceServiceRequest, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var req collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &req) != nil {
			http.Error(w, "no traces", http.StatusBadRequest)
			return
		}
		received <- &req
	}))
	t.Cleanup(srv.Close)
	tel, err := OpenTelemetry(t.Context(), TelemetryConfig{OTLP: srv.URL, SampleRatio: 1}, "1.2.3", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h := web.New(tel.Wrap(web.Handle(func(_ http.ResponseWriter, r *http.Request) error {
		i := web.InfoOf(r.Context())
		i.Registry, i.Operation, i.Repository = "acre", "manifest.get", "a/b"
		return errors.New("disk went away")
	}, func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(500) })), web.Options{})
	r := httptest.NewRequest("GET", "http://localhost/v2/a/b/manifests/v1", nil)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if err := tel.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var req *collector.ExportTraceServiceRequest
	select {
	case req = <-received:
	default:
		t.Fatal("closing sent nothing")
	}
	span := req.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0]
	if got := span.GetName(); got != "GET manifest.get" {
		t.Errorf("name %q", got)
	}
	if got := string(span.GetTraceId()); got != "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c" {
		t.Errorf("trace %x", got)
	}
	if got := span.GetStatus().GetMessage(); got != "disk went away" {
		t.Errorf("status %q", got)
	}
	attributes := map[string]string{}
	for _, a := range span.GetAttributes() {
		attributes[a.GetKey()] = a.GetValue().GetStringValue()
		if a.GetKey() == "http.response.status_code" && a.GetValue().GetIntValue() != 500 {
			t.Errorf("status code %d", a.GetValue().GetIntValue())
		}
	}
	want := map[string]string{
		"http.request.method": "GET", "url.path": "/v2/a/b/manifests/v1", "server.address": "localhost", "http.response.status_code": "",
		"acre.request_id": rec.Header().Get("X-Ms-Correlation-Request-Id"), "acre.registry": "acre", "acre.repository": "a/b",
	}
	if d := cmp.Diff(want, attributes); d != "" {
		t.Error(d)
	}
}

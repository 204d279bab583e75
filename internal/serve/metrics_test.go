package serve

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/web"
)

func scrape(m *Metrics) string {
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	return rec.Body.String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	m.InFlight(func() int64 { return 3 })
	get := web.Info{Registry: "acre", Operation: "blob.get", Status: 200, Out: 100, Took: 3 * time.Millisecond}
	for range 2 {
		m.Observe(&get)
	}
	get.Status = 404
	m.Observe(&get)
	m.Observe(&web.Info{Registry: "acre", Operation: "upload.put", Status: 201, In: 7})
	text := scrape(m)
	for _, want := range []string{
		`acre_http_requests_total{code="200",operation="blob.get",registry="acre"} 2`,
		`acre_http_requests_total{code="404",operation="blob.get",registry="acre"} 1`,
		`acre_http_sent_bytes_total{operation="blob.get",registry="acre"} 300`,
		`acre_http_received_bytes_total{operation="upload.put",registry="acre"} 7`,
		`acre_http_request_duration_seconds_bucket{operation="blob.get",registry="acre",le="0.0025"} 0`,
		`acre_http_request_duration_seconds_bucket{operation="blob.get",registry="acre",le="0.005"} 3`,
		"acre_http_requests_in_flight 3",
		"go_goroutines ",
		"process_open_fds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestMetricsRegistriesBounded(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	for i := range registriesLabelled + 50 {
		m.Observe(&web.Info{Registry: fmt.Sprint("registry", i), Status: 200})
	}
	text := scrape(m)
	if n := strings.Count(text, "\nacre_http_requests_total{"); n != registriesLabelled+1 {
		t.Errorf("%d series, want %d", n, registriesLabelled+1)
	}
	if want := `acre_http_requests_total{code="200",operation="",registry="other"} 50`; !strings.Contains(text, want) {
		t.Errorf("no %q", want)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := NewMetrics()
	i := &web.Info{Registry: "acre", Operation: "manifest.get", Status: 200, Out: 1000, Took: 50 * time.Microsecond}
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(i)
	}
}

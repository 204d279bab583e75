package serve

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/acre-registry/acre/internal/web"
)

// registriesLabelled bounds the values of the label registry; requests to further ones count as "other".
const registriesLabelled = 200

// Metrics gathers what the server counts. Rooms register theirs with Registry.
type Metrics struct {
	Registry *prometheus.Registry

	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	in, out  *prometheus.CounterVec

	mu         sync.Mutex
	registries map[string]bool
	series     sync.Map // of seriesKey: *series
}

type seriesKey struct{ registry, operation string }

// series holds the handles of one registry and operation, so that a request looks up one key and formats nothing.
type series struct {
	latency prometheus.Observer
	in, out prometheus.Counter
	codes   atomic.Pointer[[]codeCount] // few; copied when one is added
}

type codeCount struct {
	status int
	prometheus.Counter
}

// NewMetrics makes the HTTP metrics and those of the process.
func NewMetrics() *Metrics {
	labels := []string{"registry", "operation"}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "acre_http_requests_total",
			Help: "Requests answered, by registry, operation and status; 499 where the client left before.",
		}, append(slices.Clone(labels), "code")),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "acre_http_request_duration_seconds",
			Help:    "Time from a request's headers to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}, labels),
		in: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "acre_http_received_bytes_total", Help: "Bytes of request bodies read.",
		}, labels),
		out: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "acre_http_sent_bytes_total", Help: "Bytes of answers' bodies sent.",
		}, labels),
		registries: map[string]bool{},
	}
	m.Registry.MustRegister(m.requests, m.latency, m.in, m.out,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// InFlight adds the gauge of requests under way, which now reads.
func (m *Metrics) InFlight(now func() int64) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "acre_http_requests_in_flight", Help: "Requests under way.",
	}, func() float64 { return float64(now()) }))
}

// Observe counts an answered request; it is for web.Options.Done.
func (m *Metrics) Observe(i *web.Info) {
	s := m.of(seriesKey{i.Registry, i.Operation})
	s.code(m, i).Inc()
	s.latency.Observe(i.Took.Seconds())
	if i.In > 0 {
		s.in.Add(float64(i.In))
	}
	if i.Out > 0 {
		s.out.Add(float64(i.Out))
	}
}

func (m *Metrics) of(key seriesKey) *series {
	if s, ok := m.series.Load(key); ok {
		return s.(*series)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key.registry = m.label(key.registry)
	if s, ok := m.series.Load(key); ok {
		return s.(*series)
	}
	s := &series{
		latency: m.latency.WithLabelValues(key.registry, key.operation),
		in:      m.in.WithLabelValues(key.registry, key.operation),
		out:     m.out.WithLabelValues(key.registry, key.operation),
	}
	s.codes.Store(new([]codeCount))
	m.series.Store(key, s)
	return s
}

// label is the registry's name, or "other" when there are too many. m.mu is held.
func (m *Metrics) label(registry string) string {
	if registry == "" || m.registries[registry] {
		return registry
	}
	if len(m.registries) >= registriesLabelled {
		return "other"
	}
	m.registries[registry] = true
	return registry
}

func (s *series) code(m *Metrics, i *web.Info) prometheus.Counter {
	for _, c := range *s.codes.Load() {
		if c.status == i.Status {
			return c
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	counter := m.requests.WithLabelValues(m.label(i.Registry), i.Operation, strconv.Itoa(i.Status))
	codes := append(slices.Clone(*s.codes.Load()), codeCount{i.Status, counter})
	s.codes.Store(&codes)
	return counter
}

// Handler answers /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{Registry: m.Registry})
}

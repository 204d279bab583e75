package notify

import "github.com/prometheus/client_golang/prometheus"

// metrics are what the room counts.
type metrics struct{ calls *prometheus.CounterVec }

func newMetrics() metrics {
	return metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "acre", Subsystem: "webhook", Name: "deliveries_total",
		Help: "Attempts to tell a webhook something: done, failed and to be tried again, or dead: given up.",
	}, []string{"result"})}
}

// Collectors are the room's metrics for whoever serves them.
func (s *Service) Collectors() []prometheus.Collector { return []prometheus.Collector{s.metrics.calls} }

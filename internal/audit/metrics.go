package audit

import "github.com/prometheus/client_golang/prometheus"

// metrics are what the room counts.
type metrics struct {
	written prometheus.Counter
	lost    prometheus.Counter
}

func newMetrics() metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "acre", Subsystem: "audit", Name: name, Help: help})
	}
	return metrics{
		written: counter("rows_total", "Audit rows written by this process."),
		lost:    counter("lost_rows_total", "Audit rows that found no room in the queue for a second, or came after the end."),
	}
}

// Collectors are the room's metrics for whoever serves them.
func (s *Service) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.metrics.written, s.metrics.lost}
}

package content

import "github.com/prometheus/client_golang/prometheus"

// metrics are what the room counts; requests are counted by the faces.
type metrics struct {
	uploads   prometheus.Gauge
	received  prometheus.Counter
	blobs     prometheus.Counter
	mounts    prometheus.Counter
	manifests prometheus.Counter
	collected *prometheus.CounterVec
	pending   *prometheus.GaugeVec
	pass      prometheus.Histogram
}

func newMetrics() metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "acre", Subsystem: "content", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	return metrics{
		uploads:   prometheus.NewGauge(prometheus.GaugeOpts(opts("uploads", "Uploads that a request is writing."))),
		received:  counter("received_bytes_total", "Bytes of blobs taken in."),
		blobs:     counter("blobs_pushed_total", "Blobs made durable, those too that were there already."),
		mounts:    counter("blobs_mounted_total", "Blobs mounted from another repository."),
		manifests: counter("manifests_pushed_total", "Manifests stored."),
		collected: withZeros(prometheus.NewCounterVec(prometheus.CounterOpts(opts("collected_total",
			"What collection took: idle memberships, uploads, empty repositories, objects, and orphans noted for removal.")), []string{"what"}),
			"membership", "upload", "repository", "object", "orphan"),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("pending_bytes",
			"Bytes that will be removed: idle blobs no manifest names, litter nothing names.")), []string{"what"}),
		pass: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "acre", Subsystem: "content",
			Name: "collect_seconds", Help: "Length of a pass of collection.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 12)}),
	}
}

// withZeros has a counter shown for each of the values before the first is counted: what is missing would look broken.
func withZeros(c *prometheus.CounterVec, values ...string) *prometheus.CounterVec {
	for _, v := range values {
		c.WithLabelValues(v)
	}
	return c
}

// Collectors are the room's metrics for whoever serves them.
func (s *Service) Collectors() []prometheus.Collector {
	m := s.stats
	return []prometheus.Collector{m.uploads, m.received, m.blobs, m.mounts, m.manifests, m.collected, m.pending, m.pass}
}

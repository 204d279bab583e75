package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	// Both halves of the library are called trace; one has to have another name here.
	tracing "go.opentelemetry.io/otel/trace"

	"github.com/acre-registry/acre/internal/web"
)

// Telemetry sends traces to an OpenTelemetry collector. A nil *Telemetry does nothing at no cost.
type Telemetry struct {
	provider *trace.TracerProvider
	tracer   tracing.Tracer
	carrier  propagation.TraceContext // W3C Trace Context
}

// OpenTelemetry starts sending; without a collector in c it is nil. A collector that cannot be reached is no error:
// its traces are lost, which the log says.
func OpenTelemetry(ctx context.Context, c TelemetryConfig, version string, log *slog.Logger) (*Telemetry, error) {
	if c.OTLP == "" {
		return nil, nil //nolint:nilnil // the nil Telemetry is one that does nothing
	}
	u, err := url.Parse(c.OTLP)
	if err != nil {
		return nil, fmt.Errorf("send traces: %w", err)
	}
	// The address is the collector's; where it takes traces is said by the OTLP specification, "OTLP/HTTP Request".
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.JoinPath("v1/traces").String()))
	if err != nil {
		return nil, fmt.Errorf("send traces to %s: %w", masked(c.OTLP), err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces not sent", "error", err) }))
	t := &Telemetry{provider: trace.NewTracerProvider(
		trace.WithBatcher(exporter),
		trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(c.SampleRatio))),
		trace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "acre"), attribute.String("service.version", version))),
	)}
	t.tracer = t.provider.Tracer("github.com/acre-registry/acre")
	return t, nil
}

// Wrap traces the requests to next, inside of a web.Server.
func (t *Telemetry) Wrap(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := t.carrier.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, r.Method, tracing.WithSpanKind(tracing.SpanKindServer), tracing.WithAttributes(
			attribute.String("http.request.method", r.Method),
			attribute.String("url.path", r.URL.Path),
			attribute.String("server.address", r.Host),
			attribute.String("acre.request_id", web.RequestID(ctx)),
		))
		panicked := true
		defer func() { end(span, r.Method, web.InfoOf(ctx), panicked) }()
		next.ServeHTTP(w, r.WithContext(ctx))
		panicked = false
	})
}

// end names the span after what the request turned out to be.
func end(span tracing.Span, method string, i *web.Info, panicked bool) {
	if i.Operation != "" {
		span.SetName(method + " " + i.Operation)
	}
	status := i.Status
	switch {
	case status == 0 && panicked:
		status = http.StatusInternalServerError
	case status == 0:
		status = http.StatusOK
	}
	span.SetAttributes(
		attribute.Int("http.response.status_code", status),
		attribute.String("acre.registry", i.Registry),
		attribute.String("acre.repository", i.Repository),
	)
	switch {
	case panicked:
		span.SetStatus(codes.Error, "panic")
	case i.Err != nil && status >= http.StatusInternalServerError:
		span.SetStatus(codes.Error, i.Err.Error())
	}
	span.End()
}

// Close sends what is left.
func (t *Telemetry) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

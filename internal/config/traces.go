package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/letswriteabook/realtime/internal/tracing"
)

// Values of OTEL_TRACES_EXPORTER.
const (
	exportOTLP = "otlp"
	exportNone = "none"
)

// checkTraces checks the settings of traces, also while no traces are recorded.
func (c Config) checkTraces(check func(ok bool, name string, value any)) {
	check(slices.Contains([]string{"", exportOTLP, exportNone}, c.TracesExporter), "OTEL_TRACES_EXPORTER", c.TracesExporter)
	check(tracing.IsURL(c.OTLPEndpoint), "OTEL_EXPORTER_OTLP_ENDPOINT", c.OTLPEndpoint)
	check(tracing.IsURL(c.TracesEndpoint), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.TracesEndpoint)
	protocols := []string{tracing.ProtocolHTTP, tracing.ProtocolGRPC}
	check(slices.Contains(protocols, c.OTLPProtocol), "OTEL_EXPORTER_OTLP_PROTOCOL", c.OTLPProtocol)
	check(c.TracesProtocol == "" || slices.Contains(protocols, c.TracesProtocol), "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", c.TracesProtocol)
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_HEADERS": c.OTLPHeaders, "OTEL_EXPORTER_OTLP_TRACES_HEADERS": c.TracesHeaders, "OTEL_RESOURCE_ATTRIBUTES": c.TracesAttributes,
	} {
		_, err := tracing.ParsePairs(value)
		check(err == nil, name, value)
	}
	check(slices.Contains(tracing.Samplers(), c.TracesSampler), "OTEL_TRACES_SAMPLER", c.TracesSampler)
	_, err := tracing.ParseRatio(c.TracesSamplerArg)
	check(err == nil, "OTEL_TRACES_SAMPLER_ARG", c.TracesSamplerArg)
}

// Traces returns how traces are recorded, for valid settings. on is false if none are.
func (c Config) Traces() (traces tracing.Config, on bool) {
	chosen := c.TracesExporter == exportOTLP || c.TracesExporter == "" && c.OTLPEndpoint+c.TracesEndpoint != ""
	if c.NoTelemetry || !chosen {
		return tracing.Config{}, false
	}
	traces = tracing.Config{
		Protocol: cmp.Or(c.TracesProtocol, c.OTLPProtocol), URL: c.TracesEndpoint,
		Sampler: c.TracesSampler, ServiceName: c.TracesService,
	}
	if traces.URL == "" && c.OTLPEndpoint != "" {
		traces.URL = c.OTLPEndpoint
		if traces.Protocol == tracing.ProtocolHTTP {
			traces.URL = strings.TrimRight(traces.URL, "/") + "/v1/traces"
		}
	}
	traces.Headers, _ = tracing.ParsePairs(c.OTLPHeaders)
	further, _ := tracing.ParsePairs(c.TracesHeaders)
	maps.Copy(traces.Headers, further)
	traces.Attributes, _ = tracing.ParsePairs(c.TracesAttributes)
	traces.Ratio, _ = tracing.ParseRatio(c.TracesSamplerArg)
	return traces, true
}

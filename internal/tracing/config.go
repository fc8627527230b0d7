package tracing

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/sdk/trace"
)

// The protocols of OTLP that are supported.
const (
	ProtocolHTTP = "http/protobuf"
	ProtocolGRPC = "grpc"
)

// The samplers, by their names in OTEL_TRACES_SAMPLER.
const (
	alwaysOn       = "always_on"
	alwaysOff      = "always_off"
	ratio          = "traceidratio"
	parentAlwaysOn = "parentbased_always_on"
	parentOff      = "parentbased_always_off"
	parentRatio    = "parentbased_traceidratio"
)

// Config says where spans are exported and which traces are recorded.
type Config struct {
	// Protocol is [ProtocolHTTP] or [ProtocolGRPC].
	Protocol string
	// URL is where spans are sent; empty: this machine, at the default port of the protocol.
	URL string
	// Headers are sent with each request. They usually have credentials.
	Headers map[string]string
	// Sampler is a name of OTEL_TRACES_SAMPLER; Ratio is the part of the traces that a
	// sampler with a ratio records, 0 to 1.
	Sampler string
	Ratio   float64
	// ServiceName and Version describe the service, and Attributes are further attributes of it.
	// Instance is service.instance.id, unless Attributes have one; empty: a random one.
	ServiceName, Version, Instance string
	Attributes                     map[string]string
}

// Validate returns an error that names the first field with an invalid value.
func (c Config) Validate() error {
	switch {
	case c.Protocol != ProtocolHTTP && c.Protocol != ProtocolGRPC:
		return fmt.Errorf("tracing: Protocol is %q, must be %s or %s", c.Protocol, ProtocolHTTP, ProtocolGRPC)
	case !IsURL(c.URL):
		return errors.New("tracing: URL is not http[s]://…") // it may have a password
	case c.ServiceName == "":
		return errors.New("tracing: ServiceName is empty")
	}
	_, err := c.sampler()
	return err
}

// IsURL reports whether text is empty or can be a Config.URL.
func IsURL(text string) bool {
	if text == "" {
		return true
	}
	parsed, err := url.Parse(text)
	return err == nil && parsed.Host != "" && slices.Contains([]string{"http", "https"}, parsed.Scheme)
}

// ParseRatio parses the argument of a sampler: a number from 0 to 1; empty is 1.
func ParseRatio(text string) (float64, error) {
	if text == "" {
		return 1, nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || !(number >= 0 && number <= 1) { // also not NaN
		return 0, errors.New("want a number from 0 to 1")
	}
	return number, nil
}

// ParsePairs parses pairs as OTEL_RESOURCE_ATTRIBUTES and OTEL_EXPORTER_OTLP_HEADERS have
// them: key=value,key=value with values in percent-encoding (W3C Baggage, section 3.2.1).
func ParsePairs(text string) (map[string]string, error) {
	pairs := make(map[string]string)
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, found := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || key == "" || err != nil {
			return nil, errors.New("want key=value,key=value with values in percent-encoding")
		}
		pairs[key] = value
	}
	return pairs, nil
}

func (c Config) sampler() (trace.Sampler, error) {
	if !(c.Ratio >= 0 && c.Ratio <= 1) {
		return nil, fmt.Errorf("tracing: Ratio is %v, must be from 0 to 1", c.Ratio)
	}
	switch c.Sampler {
	case alwaysOn:
		return trace.AlwaysSample(), nil
	case alwaysOff:
		return trace.NeverSample(), nil
	case ratio:
		return trace.TraceIDRatioBased(c.Ratio), nil
	case parentAlwaysOn:
		return trace.ParentBased(trace.AlwaysSample()), nil
	case parentOff:
		return trace.ParentBased(trace.NeverSample()), nil
	case parentRatio:
		return trace.ParentBased(trace.TraceIDRatioBased(c.Ratio)), nil
	}
	return nil, fmt.Errorf("tracing: Sampler is %q, must be one of %s", c.Sampler, strings.Join(Samplers(), ", "))
}

// Samplers returns the valid names of Config.Sampler.
func Samplers() []string {
	return []string{alwaysOn, alwaysOff, ratio, parentAlwaysOn, parentOff, parentRatio}
}

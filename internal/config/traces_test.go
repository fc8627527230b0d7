package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
)

// TestEmptyVariablesOfOpenTelemetry: each counts as unset, also where it has a default or the
// settings file has a value.
func TestEmptyVariablesOfOpenTelemetry(t *testing.T) {
	t.Parallel()
	usual, err := config.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	empty := make(map[string]string)
	for _, setting := range usual.Settings() {
		if strings.HasPrefix(setting.Name, "OTEL_") {
			empty[setting.Name] = ""
		}
	}
	if len(empty) == 0 {
		t.Fatal("there are no settings of OpenTelemetry")
	}
	cfg, err := config.Load(empty)
	if err != nil || !reflect.DeepEqual(cfg.Settings(), usual.Settings()) {
		t.Errorf("with empty variables: %v, %+v", err, cfg.Settings())
	}

	empty["CONFIG_FILE"] = write(t, "realtime.toml", `
OTEL_SERVICE_NAME = "novels"
OTEL_TRACES_SAMPLER = ""
`)
	cfg, err = config.Load(empty)
	if err != nil || cfg.TracesService != "novels" || cfg.TracesSampler != usual.TracesSampler {
		t.Errorf("with a settings file: %v, service %q, sampler %q", err, cfg.TracesService, cfg.TracesSampler)
	}
}

package config_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/config"
)

// What a client chose cannot end a line of the log, nor begin one of its own.
func TestStringsOfClientsStayInTheirLine(t *testing.T) {
	t.Parallel()
	const hostile = "http://a\"}\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\r\n\x1b[31m\u2028 level=ERROR"
	for _, format := range []string{"json", "text"} {
		cfg, err := config.Load(map[string]string{"LOG_FORMAT": format})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		config.NewLogger(&out, cfg).Info("client refused", "origin", hostile)
		line := strings.TrimSuffix(out.String(), "\n")
		if strings.ContainsAny(line, "\n\r\x1b\u2028") {
			t.Errorf("%s: %q is more than a line", format, line)
		}
		if format != "json" {
			continue
		}
		var fields map[string]string
		if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["origin"] != hostile || fields["level"] != "INFO" {
			t.Errorf("%q reads as %v, %v", line, fields, err)
		}
	}
}

// Durations have their unit in both formats, also inside of groups.
func TestDurationsHaveUnits(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"json": `"took":"1.5s"`, "text": "took=1.5s"} {
		cfg, err := config.Load(map[string]string{"LOG_FORMAT": format})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		config.NewLogger(&out, cfg).Info("stopped", "took", 1500*time.Millisecond)
		config.NewLogger(&out, cfg).WithGroup("step").With("took", 1500*time.Millisecond).Info("stopped")
		if strings.Count(out.String(), want) < 1 || strings.Count(out.String(), "1.5s") != 2 {
			t.Errorf("%s: %s", format, out.String())
		}
	}
}

package server_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// TestOneNameOfAGateway: a gateway has one name in every answer of the API, in its metrics,
// in the notes of changes and in the traces.
func TestOneNameOfAGateway(t *testing.T) {
	t.Parallel()
	const name = "edge-7"
	receiver := testkit.StartOTLP(t)
	gateway, stop := runGateway(t, map[string]string{"GATEWAY_NAME": name, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.URL})
	gateway.publish(`{"kind":"job-status","jobId":"a","status":"running","id":"1","traceParent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`)
	worked := gateway.ends(gateway.begin("/erasures", `{"jobId":"a","reason":"a test","dryRun":true}`), "done")

	named := func(what string, got ...string) {
		t.Helper()
		for _, one := range got {
			if one != name {
				t.Errorf("%s names the gateway %q, want %q", what, one, name)
			}
		}
		if len(got) == 0 {
			t.Errorf("%s names no gateway", what)
		}
	}
	var figures struct{ Gateway string }
	gateway.read("/figures", &figures)
	named("/figures", figures.Gateway)
	var work struct{ Gateway string }
	gateway.read("/work/one?id="+worked.ID, &work)
	named("/work", work.Gateway)
	var sockets struct{ Gateways []string }
	gateway.read("/sockets", &sockets)
	named("/sockets", sockets.Gateways...)
	gateway.until("the end of the work is in the audit trail", func() error {
		var trail struct {
			Items []struct{ Note json.RawMessage }
		}
		gateway.read("/audit?before=0", &trail)
		for _, item := range trail.Items {
			var note struct{ Action, Gateway string }
			if err := json.Unmarshal(item.Note, &note); err != nil {
				t.Fatal(err)
			}
			named("the note of "+note.Action, note.Gateway)
			if note.Action == "/work" {
				return nil
			}
		}
		return errors.New("it is not")
	})
	if got := gateway.get("/metrics"); !strings.Contains(got, `realtime_app_gateway_info{gateway="`+name+`"} 1`) {
		t.Error("the metrics do not name the gateway")
	}
	stop() // exports what is left
	for deadline := time.Now().Add(time.Minute); len(receiver.Spans()) == 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	var instances []string
	for _, span := range receiver.Spans() {
		instances = append(instances, span.Service["service.instance.id"])
	}
	named("a span", instances...)
}

package messaging_test

import (
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

func TestSameEvent(t *testing.T) {
	t.Parallel()
	const trace = `"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{`{"id":"1"}`, `{"id":"1"}`, true},
		{`{"id":"1"}`, `{"id":"2"}`, false},
		{`{"id":"1"}`, `{ "id":"1"}`, false}, // without a trace the bytes count
		{`{"id":"1"}`, `{"id":"1",` + trace + `}`, true},
		{`{` + trace + `, "id": "1"}`, `{"id":"1"}`, true},
		{`{"id":"1",` + trace + `}`, `{"id":"1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}`, true},
		{`{"id":"1",` + trace + `}`, `{"id":"2",` + trace + `}`, false},
		{`{"event":{` + trace + `}}`, `{"event":{}}`, false}, // a field of the event itself
		{`{"id":"1",` + trace, `{"id":"1"}`, false},
	} {
		if got := messaging.SameEvent([]byte(test.a), []byte(test.b)); got != test.same {
			t.Errorf("SameEvent(%s, %s) is %v", test.a, test.b, got)
		}
		if got := messaging.SameEvent([]byte(test.b), []byte(test.a)); got != test.same {
			t.Errorf("SameEvent(%s, %s) is %v", test.b, test.a, got)
		}
	}
}

func TestTraceParentOf(t *testing.T) {
	t.Parallel()
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for raw, want := range map[string]string{
		`{"traceparent":"` + trace + `","kind":3}`: trace, `{"traceparent":"x"}`: "", `{"traceparent":7}`: "", `{}`: "", `[`: "", ``: "",
	} {
		if got := messaging.TraceParentOf([]byte(raw)); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
	if attrs := messaging.TraceAttrs(trace); len(attrs) != 4 || attrs[1] != "4bf92f3577b34da6a3ce929d0e0e4736" || attrs[3] != "00f067aa0ba902b7" {
		t.Errorf("attributes %v", attrs)
	}
	if attrs := messaging.TraceAttrs("none"); attrs != nil {
		t.Errorf("attributes %v", attrs)
	}
}

package bench

import (
	"strings"
	"testing"
	"time"
)

func TestUnknownRow(t *testing.T) {
	t.Parallel()
	if _, err := Run(t.Context(), Options{Rows: []string{"pacde"}}); err == nil || !strings.Contains(err.Error(), "paced, burst") {
		t.Errorf("an unknown row: %v", err)
	}
}

func TestEventsSayWhenTheyWereDue(t *testing.T) {
	t.Parallel()
	due := time.Unix(1_700_000_000, 123)
	body, err := event("job", 7, due)
	if err != nil {
		t.Fatal(err)
	}
	if got, found := dueOf(body); !found || !got.Equal(due) {
		t.Errorf("due %v, %v; want %v", got, found, due)
	}
	if len(body) < eventBytes-60 || len(body) > eventBytes+60 {
		t.Errorf("an event has %d bytes, want about %d", len(body), eventBytes)
	}
	for _, text := range []string{"", `"due":`, `"due":x,`, `{"due":12`} {
		if _, found := dueOf([]byte(text)); found {
			t.Errorf("%q has no time", text)
		}
	}
}

func TestBareLoop(t *testing.T) {
	t.Parallel()
	if _, err := threadTime(); err != nil {
		t.Skip(err)
	}
	bare, err := bareLoop(20, 50, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if bare.cpu <= 0 || bare.rate <= 0 {
		t.Errorf("measured %+v", bare)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	report := Report{Rows: []Row{{Name: "paced", Sync: interval, Figures: []Figure{
		{Name: "CPU", Value: 12.345, Unit: "µs a delivery", Beside: "8.0 µs in a bare loop of writes", Ratio: 1.543}, {Name: "p50", Value: 1234.5, Unit: "ms"},
	}}}}
	var text strings.Builder
	if err := report.Table(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"12.3 µs a delivery", "1.54", "1234 ms", "`10s`"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, text.String())
		}
	}
}

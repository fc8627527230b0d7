package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/lab/oracle"
	"github.com/letswriteabook/realtime/lab/report"
)

func sampleDrill() report.Drill {
	began := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	return report.Drill{
		Name: "redis-outage", Does: "Redis is killed & started again.", Target: "throw-away", Command: "realtime drill redis-outage", Began: began,
		Machine: map[string]string{"cores": "2"}, Versions: map[string]string{"redis-server": "7"},
		Result: report.Result{
			Title: "t", Status: report.Failed, Reason: "1 lost: <script>alert(1)</script>", RecoveryMillis: 1234, LimitMillis: 15000, TookMillis: 60000,
			Verdict:  oracle.Verdict{Lost: 1, Attempted: 10, Acknowledged: 9, Unanswered: 1, Stored: 10, Delivered: 20, Clients: 2, Examples: []string{"lost from the log: a/1"}},
			Checks:   []report.Check{{Name: "events flow", OK: true, Detail: "100 a second"}, {Name: "room", Detail: "none | at all"}},
			Measures: []report.Measure{{Name: "held", Value: 500}, {Name: "longest", Value: 1.5, Unit: "s"}}, Notes: []string{"one\nnote"},
			Timeline: &report.Timeline{
				Began: began, StepMillis: 1000, Client: "early",
				Attempted: []int{100, 100, 100, 100, 60}, Acknowledged: []int{100, 0, 0, 260, 60}, Delivered: []int{100, 0, 0, 1900, 60},
				Windows: []report.Window{{Label: "Redis is down", FromMillis: 1000, ToMillis: 3000}, {Label: "again", FromMillis: 4500, ToMillis: 4501}},
				Marks:   []report.Mark{{Label: "publishing goes on", AtMillis: 3200}},
			},
		},
	}
}

func TestDrillFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 { // the second replaces the first
		if err := sampleDrill().Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got report.Drill
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, sampleDrill()) {
		t.Errorf("the JSON is read back as %+v, %v", got, err)
	}
	for file, name := range map[string]string{"report.md": "drill.md", "report.html": "drill.html"} {
		page, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, page)
	}
}

// outside is what would make a browser ask another server.
var outside = regexp.MustCompile(`(?i)https?:|//[a-z]|src=|href=|url\(|@import|<script|<link|<iframe`)

// The page works offline, runs nothing, and is well-formed, with a timeline and
// without, however odd that is.
func TestDrillPage(t *testing.T) {
	t.Parallel()
	drills := map[string]func(*report.Drill){
		"whole":         func(*report.Drill) {},
		"no timeline":   func(d *report.Drill) { d.Result.Timeline = nil },
		"empty":         func(d *report.Drill) { d.Result.Timeline = &report.Timeline{StepMillis: 1000} },
		"nothing there": func(d *report.Drill) { d.Result.Timeline.Attempted = []int{0}; d.Result.Timeline.Acknowledged = nil },
		"zero":          func(d *report.Drill) { *d = report.Drill{} },
	}
	for name, change := range drills {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := sampleDrill()
			change(&d)
			var page bytes.Buffer
			if err := d.HTML(&page); err != nil {
				t.Fatal(err)
			}
			if found := outside.FindString(page.String()); found != "" {
				t.Errorf("the page has %q", found)
			}
			if strings.Contains(page.String(), "NaN") || strings.Contains(page.String(), "Inf") {
				t.Error("the plot has no place for something")
			}
			decoder := xml.NewDecoder(bytes.NewReader(page.Bytes()))
			for {
				if _, err := decoder.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("not well-formed: %v", err)
				}
			}
		})
	}
}

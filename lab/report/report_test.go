package report_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/lab/oracle"
	"github.com/letswriteabook/realtime/lab/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sample() report.Report {
	return report.Report{
		Command: "realtime-faults --rows 1,2,3", Began: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC),
		Machine:  map[string]string{"processors": "2", "system": "Linux | 6"},
		Versions: map[string]string{"redis-server": "7"},
		Rows: []report.Result{
			{
				Number: 1, Title: "a gateway is killed", Status: report.Passed, RecoveryMillis: 1234, LimitMillis: 15000, TookMillis: 60000,
				Verdict:   oracle.Verdict{Attempted: 10, Acknowledged: 9, Unanswered: 1, Stored: 10, Projected: 10, Delivered: 20, Clients: 2},
				Shortened: "kills: 10 of 50", Measures: []report.Measure{{Name: "kills", Value: 10}, {Name: "longest", Value: 1.5, Unit: "s"}}, Notes: []string{"one\nnote"},
			},
			{Number: 2, Title: "half-open", Status: report.Skipped, Reason: "needs root"},
			{Number: 3, Title: "Redis restarts", Status: report.Failed, Reason: "1 lost", TookMillis: 900, Verdict: oracle.Verdict{Lost: 1, Examples: []string{"lost from the log: a/1"}}},
		},
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "2026-03-01")
	if err := sample().Write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got report.Report
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("the JSON is read back as %+v, %v", got, err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.md", page)
}

func TestTable(t *testing.T) {
	t.Parallel()
	var table bytes.Buffer
	if err := sample().Table(&table); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", table.Bytes())
}

// golden compares with a file of testdata, which a person reads when it changes.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

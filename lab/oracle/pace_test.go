package oracle_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/lab/oracle"
)

func TestPace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"A": `{"id":"a","job":"j","at":9000}
{"id":"b","job":"j","at":10000}
{"id":"b","job":"j","at":11000}
{"id":"c","job":"j","at":12999}
`,
		"K": `{"id":"b","job":"j","at":11001}
`,
		"C-x": `{"job":"j","follows":true,"at":10000}
{"id":"b","job":"j","sequence":1,"at":11500}
{"id":"b","job":"j","sequence":1,"at":11600}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".ndjson"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pace, err := oracle.ReadPace(dir, "x", time.UnixMilli(10_000), time.Second)
	if err != nil || !slices.Equal(pace.Attempted, []int{1, 0, 1}) || !slices.Equal(pace.Acknowledged, []int{0, 1, 0}) ||
		!slices.Equal(pace.Delivered, []int{0, 2, 0}) {
		t.Errorf("%+v, %v", pace, err)
	}
	if _, err := oracle.ReadPace(dir, "x", time.UnixMilli(0), 0); err == nil {
		t.Error("a step of nothing is taken")
	}
}

// What a journal writes carries its time, and the judge does not mind.
func TestJournalLinesCarryTheirTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	j, err := oracle.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	j.Attempted("a", "job")
	j.Acknowledged("a", "job", 1)
	j.Stored("a", "job", 1)
	j.Follows("x", "job", 0)
	j.Delivered("x", "a", "job", 1, false)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	pace, err := oracle.ReadPace(j.Dir(), "x", began.Add(-time.Second), time.Hour)
	if err != nil || !slices.Equal(pace.Attempted, []int{1}) || !slices.Equal(pace.Acknowledged, []int{1}) || !slices.Equal(pace.Delivered, []int{1}) {
		t.Errorf("%+v, %v", pace, err)
	}
	if verdict, err := oracle.Judge(j.Dir()); err != nil || !verdict.Good() || verdict.Stored != 1 {
		t.Errorf("%+v, %v", verdict, err)
	}
}

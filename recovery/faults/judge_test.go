package faults_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/recovery/faults"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each case spoils a good journal in one way.
func TestJudge(t *testing.T) {
	t.Parallel()
	good := func(j *faults.Journal) {
		for i, id := range []string{"a", "b", "c"} {
			j.Attempted(id, "job")
			j.Stored(id, "job", uint64(i+1))
			j.Acknowledged(id, "job", uint64(i+1))
		}
		j.Follows("1", "job", 1)
		j.Delivered("1", "b", "job", 2, false)
		j.Delivered("1", "c", "job", 3, false)
	}
	for name, test := range map[string]struct {
		spoil func(*faults.Journal)
		want  faults.Verdict
	}{
		"good":                        {func(*faults.Journal) {}, faults.Verdict{}},
		"attempted and not stored":    {func(j *faults.Journal) { j.Attempted("d", "job") }, faults.Verdict{}},
		"acknowledged and not stored": {func(j *faults.Journal) { j.Attempted("d", "job"); j.Acknowledged("d", "job", 4) }, faults.Verdict{Lost: 1}},
		"acknowledged elsewhere":      {func(j *faults.Journal) { j.Acknowledged("a", "job", 9) }, faults.Verdict{Lost: 1}},
		"not delivered":               {func(j *faults.Journal) { j.Attempted("d", "job"); j.Stored("d", "job", 4) }, faults.Verdict{Lost: 1}},
		"stored twice":                {func(j *faults.Journal) { j.Stored("a", "job", 4) }, faults.Verdict{Lost: 1, Duplicated: 1}},
		"stored from nowhere":         {func(j *faults.Journal) { j.Stored("x", "other", 4) }, faults.Verdict{Phantom: 1}},
		"delivered twice":             {func(j *faults.Journal) { j.Delivered("1", "c", "job", 3, false) }, faults.Verdict{Duplicated: 1}},
		"delivered twice, resumed":    {func(j *faults.Journal) { j.Delivered("1", "c", "job", 3, true) }, faults.Verdict{}},
		"delivered backwards":         {func(j *faults.Journal) { j.Delivered("1", "a", "job", 1, false) }, faults.Verdict{Reordered: 1}},
		"missing in MongoDB": {func(j *faults.Journal) {
			j.Projected("a", "job", 1)
			j.Projected("b", "job", 2)
		}, faults.Verdict{Lost: 1}},
		"twice in MongoDB": {func(j *faults.Journal) {
			for _, id := range []string{"a", "b", "c", "c"} {
				j.Projected(id, "job", 1)
			}
		}, faults.Verdict{Duplicated: 1}},
		"stored out of order": {func(j *faults.Journal) {
			j.Attempted("d", "other")
			j.Attempted("e", "other")
			j.Stored("e", "other", 4)
			j.Stored("d", "other", 5)
		}, faults.Verdict{Reordered: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			journal, err := faults.OpenJournal(dir)
			if err != nil {
				t.Fatal(err)
			}
			good(journal)
			test.spoil(journal)
			if err := journal.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := faults.Judge(dir)
			if err != nil {
				t.Fatal(err)
			}
			if got.Lost != test.want.Lost || got.Duplicated != test.want.Duplicated || got.Reordered != test.want.Reordered || got.Phantom != test.want.Phantom {
				t.Errorf("%v: %q; want %v", got, got.Examples, test.want)
			}
			if got.Good() != test.want.Good() || got.Good() && len(got.Examples) > 0 {
				t.Errorf("good: %v, examples %q", got.Good(), got.Examples)
			}
		})
	}
}

// Every row has what the report needs, and a number of its own.
func TestRows(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for _, row := range faults.Rows() {
		if seen[row.Number] || row.Number < 1 || row.Title == "" || row.Run == nil {
			t.Errorf("row %d %q is not whole, or twice there", row.Number, row.Title)
		}
		seen[row.Number] = true
	}
}

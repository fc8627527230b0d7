package oracle_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/letswriteabook/realtime/lab/oracle"
)

// good notes n events of one job that went everywhere, at the sequences 1 to n.
func good(j *oracle.Journal, n int) {
	j.Follows("a", "job", 0)
	for i := 1; i <= n; i++ {
		j.Attempted(id(i), "job")
		j.Acknowledged(id(i), "job", uint64(i))
		j.Stored(id(i), "job", uint64(i))
		j.Projected(id(i), "job", uint64(i))
		j.Delivered("a", id(i), "job", uint64(i), false)
	}
}

// purgedAndAgain notes an event that was purged at 1 and stands again at 2, and a
// client that follows.
func purgedAndAgain(j *oracle.Journal) {
	j.Follows("a", "job", 0)
	j.Attempted("x", "job")
	j.Acknowledged("x", "job", 1)
	j.Purged("x", "job", 1)
	j.Attempted("x", "job")
	j.Acknowledged("x", "job", 2)
	j.Stored("x", "job", 2)
}

func id(i int) string { return fmt.Sprintf("job/%d", i) }

// Each case is a set of files with one thing wrong, or with something that is odd
// and allowed. The four figures have to be exact, and the first example has to
// name the event.
func TestVerdict(t *testing.T) {
	t.Parallel()
	figures := func(lost, duplicated, reordered, phantom int) oracle.Verdict {
		return oracle.Verdict{Lost: lost, Duplicated: duplicated, Reordered: reordered, Phantom: phantom}
	}
	tests := []struct {
		name    string
		write   func(j *oracle.Journal)
		want    oracle.Verdict
		example string
	}{
		{"nothing at all", func(*oracle.Journal) {}, figures(0, 0, 0, 0), ""},
		{"all is well", func(j *oracle.Journal) { good(j, 5) }, figures(0, 0, 0, 0), ""},

		{"lost from the log", func(j *oracle.Journal) {
			good(j, 2)
			j.Attempted("x", "job")
			j.Acknowledged("x", "job", 3)
			j.Projected("x", "job", 3)
		}, figures(1, 0, 0, 1), "lost from the log: x"},
		{"lost from the log, and nothing is projected", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			j.Acknowledged("x", "job", 3)
		}, figures(1, 0, 0, 0), "lost from the log: x"},
		{"acknowledged elsewhere", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			j.Acknowledged("x", "job", 3)
			j.Stored("x", "job", 4)
		}, figures(1, 0, 0, 0), "acknowledged at 3 and stored elsewhere: x"},
		{"acknowledged in another job", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			j.Acknowledged("x", "other", 3)
			j.Stored("x", "job", 3)
		}, figures(1, 0, 0, 0), "stored elsewhere: x"},
		{"acknowledged, without a place", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			j.Acknowledged("x", "job", 0)
			j.Stored("x", "job", 3)
		}, figures(0, 0, 0, 0), ""},
		{"acknowledged twice", func(j *oracle.Journal) {
			good(j, 2)
			j.Acknowledged(id(1), "job", 1)
		}, figures(0, 0, 0, 0), ""},
		{"purged", func(j *oracle.Journal) {
			good(j, 2)
			j.Attempted("x", "job")
			j.Acknowledged("x", "job", 3)
			j.Purged("x", "job", 3)
			j.Delivered("a", "x", "job", 3, false)
			j.Projected("x", "job", 3)
		}, figures(0, 0, 0, 0), ""},
		{"purged and stored again", func(j *oracle.Journal) {
			purgedAndAgain(j)
			j.Delivered("a", "x", "job", 1, false)
			j.Delivered("a", "x", "job", 2, false)
		}, figures(0, 0, 0, 0), ""},
		{"purged and swallowed", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			j.Acknowledged("x", "job", 1)
			j.Purged("x", "job", 1)
			j.Acknowledged("x", "job", 2)
		}, figures(1, 0, 0, 0), "acknowledged at 2 and stored elsewhere: x"},
		{"stored again and not delivered again", func(j *oracle.Journal) {
			purgedAndAgain(j)
			j.Delivered("a", "x", "job", 1, false)
		}, figures(1, 0, 0, 0), "not delivered to a: x at 2"},
		{"delivered twice after a purge", func(j *oracle.Journal) {
			purgedAndAgain(j)
			j.Delivered("a", "x", "job", 2, false)
			j.Delivered("a", "x", "job", 2, false)
		}, figures(0, 1, 0, 0), "twice to a: x at 2"},
		{"stored twice after a purge", func(j *oracle.Journal) {
			purgedAndAgain(j)
			j.Stored("x", "job", 3)
			j.Delivered("a", "x", "job", 2, false)
		}, figures(0, 1, 0, 0), "twice in the log: x at 2 and 3"},
		{"purged, and not in MongoDB", func(j *oracle.Journal) {
			good(j, 2)
			j.Attempted("x", "job")
			j.Acknowledged("x", "job", 3)
			j.Purged("x", "job", 3)
		}, figures(0, 0, 0, 0), ""},
		{"purged, and delivered before a new epoch", func(j *oracle.Journal) {
			good(j, 2)
			j.Attempted("x", "job")
			j.Purged("x", "job", 3)
			j.Delivered("a", "x", "job", 3, false)
			j.Renewed("a", "job")
			j.Delivered("a", id(1), "job", 1, false)
			j.Delivered("a", id(2), "job", 2, false)
		}, figures(0, 0, 0, 0), ""},
		{"noted as purged, and still there in a new epoch", func(j *oracle.Journal) {
			good(j, 2)
			j.Purged(id(2), "job", 2)
			j.Renewed("a", "job")
			j.Delivered("a", id(1), "job", 1, false)
			j.Delivered("a", id(2), "job", 2, false)
		}, figures(0, 0, 0, 0), ""},
		{"purged, and delivered in a new epoch", func(j *oracle.Journal) {
			good(j, 2)
			j.Attempted("x", "job")
			j.Purged("x", "job", 3)
			j.Renewed("b", "job")
			j.Delivered("b", id(1), "job", 1, false)
			j.Delivered("b", id(2), "job", 2, false)
			j.Delivered("b", "x", "job", 3, false)
		}, figures(0, 0, 0, 1), `to b, in a new epoch that does not have it: "x" at 3`},
		{"begun in a new epoch, and not all delivered", func(j *oracle.Journal) {
			good(j, 2)
			j.Renewed("a", "job")
			j.Renewed("b", "job")
			j.Delivered("b", id(1), "job", 1, false)
		}, figures(3, 0, 0, 0), "not delivered to a: job/1 at 1"},
		{"lost from MongoDB", func(j *oracle.Journal) {
			good(j, 2)
			j.Attempted("x", "job")
			j.Acknowledged("x", "job", 3)
			j.Stored("x", "job", 3)
			j.Delivered("a", "x", "job", 3, false)
		}, figures(1, 0, 0, 0), "lost from MongoDB: x"},
		{"not delivered", func(j *oracle.Journal) {
			good(j, 2)
			j.Attempted("x", "job")
			j.Stored("x", "job", 3)
		}, figures(1, 0, 0, 0), "not delivered to a: x at 3"},
		{"not delivered, and stored for another job", func(j *oracle.Journal) {
			good(j, 2)
			j.Attempted("x", "other")
			j.Stored("x", "other", 3)
		}, figures(0, 0, 0, 0), ""},
		{"not delivered, and before its cursor", func(j *oracle.Journal) {
			good(j, 3)
			j.Follows("late", "job", 2)
			j.Delivered("late", id(3), "job", 3, false)
		}, figures(0, 0, 0, 0), ""},
		{"a hole in what was delivered", func(j *oracle.Journal) {
			good(j, 4)
			j.Follows("b", "job", 1)
			j.Delivered("b", id(2), "job", 2, false)
			j.Delivered("b", id(4), "job", 4, false)
		}, figures(1, 0, 0, 0), "not delivered to b: job/3 at 3"},
		{"a hole at a resume", func(j *oracle.Journal) {
			good(j, 4)
			j.Follows("b", "job", 0)
			j.Delivered("b", id(1), "job", 1, false)
			j.Follows("b", "job", 1)
			j.Delivered("b", id(3), "job", 3, false)
			j.Delivered("b", id(4), "job", 4, false)
		}, figures(1, 0, 0, 0), "not delivered to b: job/2"},
		{"a cursor that was not noted, and a hole", func(j *oracle.Journal) {
			good(j, 4)
			j.Delivered("b", id(2), "job", 2, false)
			j.Delivered("b", id(4), "job", 4, false)
		}, figures(1, 0, 0, 0), "not delivered to b: job/3"},
		{"asked for and never given", func(j *oracle.Journal) {
			good(j, 2)
			j.Follows("b", "job", 0)
		}, figures(2, 0, 0, 0), "not delivered to b: job/1"},

		{"twice in the log", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			j.Attempted("x", "job")
			j.Stored("x", "job", 1)
			j.Stored("x", "job", 2)
		}, figures(0, 1, 0, 0), "twice in the log: x at 1 and 2"},
		{"twice in the log, three times over", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			for i := range 4 {
				j.Stored("x", "job", uint64(i+1))
			}
		}, figures(0, 3, 0, 0), "twice in the log: x"},
		{"twice in MongoDB", func(j *oracle.Journal) {
			good(j, 2)
			j.Projected(id(2), "job", 2)
		}, figures(0, 1, 0, 0), "twice in MongoDB: job/2"},
		{"twice to a client", func(j *oracle.Journal) {
			good(j, 2)
			j.Delivered("a", id(2), "job", 2, false)
		}, figures(0, 1, 0, 0), "twice to a: job/2 at 2"},
		{"an earlier one twice to a client", func(j *oracle.Journal) {
			good(j, 3)
			j.Delivered("a", id(1), "job", 1, false)
		}, figures(0, 1, 0, 0), "twice to a: job/1 at 1"},
		{"again after a resume from before it", func(j *oracle.Journal) {
			good(j, 3)
			j.Follows("a", "job", 1)
			j.Delivered("a", id(2), "job", 2, false)
			j.Delivered("a", id(3), "job", 3, false)
		}, figures(0, 0, 0, 0), ""},
		{"again after a resume from behind it", func(j *oracle.Journal) {
			good(j, 3)
			j.Follows("a", "job", 2)
			j.Delivered("a", id(2), "job", 2, false)
			j.Delivered("a", id(3), "job", 3, false)
		}, figures(0, 1, 0, 0), "twice to a, which had asked for what follows 2: job/2"},
		{"twice after a resume", func(j *oracle.Journal) {
			good(j, 2)
			j.Follows("a", "job", 1)
			j.Delivered("a", id(2), "job", 2, false)
			j.Delivered("a", id(2), "job", 2, false)
		}, figures(0, 1, 0, 0), "twice to a: job/2"},
		{"again after a resume whose cursor was not noted", func(j *oracle.Journal) {
			good(j, 3)
			j.Delivered("a", id(2), "job", 2, true)
			j.Delivered("a", id(3), "job", 3, false)
		}, figures(0, 0, 0, 0), ""},
		{"a resume of another job", func(j *oracle.Journal) {
			good(j, 2)
			j.Follows("a", "other", 0)
			j.Delivered("a", id(2), "job", 2, false)
		}, figures(0, 1, 0, 0), "twice to a: job/2"},
		{"a resume of another client", func(j *oracle.Journal) {
			good(j, 2)
			j.Follows("b", "job", 2)
			j.Delivered("a", id(2), "job", 2, false)
		}, figures(0, 1, 0, 0), "twice to a: job/2"},

		{"reordered to a client", func(j *oracle.Journal) {
			good(j, 3)
			j.Follows("b", "job", 0)
			for _, i := range []int{1, 3, 2} {
				j.Delivered("b", id(i), "job", uint64(i), false)
			}
		}, figures(0, 0, 1, 0), "sequence goes back to b: job/2 at 2 after 3"},
		{"reordered after a resume", func(j *oracle.Journal) {
			good(j, 3)
			j.Follows("b", "job", 0)
			j.Delivered("b", id(1), "job", 1, false)
			j.Follows("b", "job", 1)
			j.Delivered("b", id(3), "job", 3, false)
			j.Delivered("b", id(2), "job", 2, false)
		}, figures(0, 0, 1, 0), "sequence goes back to b: job/2"},
		{"not asked for, and new", func(j *oracle.Journal) {
			good(j, 3)
			j.Follows("b", "job", 2)
			j.Delivered("b", id(1), "job", 1, false)
			j.Delivered("b", id(3), "job", 3, false)
		}, figures(0, 0, 1, 0), "sequence goes back to b: job/1 at 1 after 2"},
		{"one job ahead of another", func(j *oracle.Journal) {
			good(j, 2)
			j.Attempted("x", "other")
			j.Stored("x", "other", 9)
			j.Follows("a", "other", 0)
			j.Delivered("a", "x", "other", 9, false)
		}, figures(0, 0, 0, 0), ""},
		{"stored against the order of the attempts", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			j.Attempted("y", "job")
			j.Stored("y", "job", 1)
			j.Stored("x", "job", 2)
		}, figures(0, 0, 1, 0), "not in the order of the attempts, in the log: x at 2"},
		{"a sequence of the log goes back", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			j.Attempted("y", "job")
			j.Stored("x", "job", 2)
			j.Stored("y", "job", 1)
		}, figures(0, 0, 1, 0), "sequence goes back in the log: y at 1"},

		{"phantom in the log", func(j *oracle.Journal) {
			good(j, 1)
			j.Stored("x", "job", 2)
			j.Delivered("a", "x", "job", 2, false)
		}, figures(0, 0, 0, 1), `never attempted, in the log: "x"`},
		{"phantom in MongoDB", func(j *oracle.Journal) {
			good(j, 1)
			j.Attempted("x", "job")
			j.Projected("x", "job", 2)
		}, figures(0, 0, 0, 1), `in MongoDB and not so in the log: "x"`},
		{"elsewhere in MongoDB", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			j.Stored("x", "job", 1)
			j.Projected("x", "job", 2)
		}, figures(0, 0, 0, 1), `in MongoDB and not so in the log: "x" at 2`},
		{"phantom to a client", func(j *oracle.Journal) {
			good(j, 1)
			j.Delivered("a", "x", "job", 2, false)
		}, figures(0, 0, 0, 1), `to a and not so in the log: "x" at 2`},
		{"to a client of another job", func(j *oracle.Journal) {
			good(j, 1)
			j.Delivered("a", id(1), "other", 1, false)
		}, figures(0, 0, 0, 1), `to a and not so in the log: "job/1" at 1`},
		{"with another sequence to a client", func(j *oracle.Journal) {
			good(j, 1)
			j.Follows("b", "job", 0)
			j.Delivered("b", id(1), "job", 2, false)
		}, figures(0, 0, 0, 1), `to b and not so in the log: "job/1" at 2`},

		{"unanswered and stored", func(j *oracle.Journal) {
			j.Attempted("x", "job")
			j.Stored("x", "job", 1)
		}, figures(0, 0, 0, 0), ""},
		{"unanswered and not stored", func(j *oracle.Journal) { j.Attempted("x", "job") }, figures(0, 0, 0, 0), ""},

		{"one of a crowd", func(j *oracle.Journal) {
			good(j, 2)
			for _, name := range []string{"1", "2"} {
				j.Crowd("crowd").Follows(name, "job", 0)
				j.Crowd("crowd").Delivered(name, id(1), "job", 1, false)
			}
			j.Crowd("crowd").Delivered("1", id(2), "job", 2, false)
		}, figures(1, 0, 0, 0), "not delivered to crowd/2: job/2"},
		{"everything at once", func(j *oracle.Journal) {
			good(j, 3)
			j.Attempted("x", "job")
			j.Acknowledged("x", "job", 4)
			j.Stored("p", "job", 5)
			j.Stored(id(3), "job", 6)
			j.Delivered("a", "p", "job", 5, false)
			j.Delivered("a", id(3), "job", 6, false)
			j.Follows("b", "job", 3)
			j.Delivered("b", id(3), "job", 6, false)
			j.Delivered("b", "p", "job", 5, false)
		}, figures(2, 2, 1, 1), `never attempted, in the log: "p"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			j, err := oracle.Open(filepath.Join(t.TempDir(), "deeper"))
			if err != nil {
				t.Fatal(err)
			}
			test.write(j)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := oracle.Judge(j.Dir())
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != test.want.String() || got.Good() != test.want.Good() {
				t.Errorf("got %v, want %v: %q", got, test.want, got.Examples)
			}
			if test.example == "" {
				if len(got.Examples) > 0 {
					t.Errorf("a good verdict with examples: %q", got.Examples)
				}
			} else if len(got.Examples) == 0 || !strings.Contains(got.Examples[0], test.example) {
				t.Errorf("got the examples %q, want the first to contain %q", got.Examples, test.example)
			}
		})
	}
}

func TestVerdictCounts(t *testing.T) {
	t.Parallel()
	j, err := oracle.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	good(j, 7)
	j.Attempted(id(7), "job")
	for i := range 20 {
		j.Attempted(fmt.Sprint("x", i), "job")
		j.Acknowledged(fmt.Sprint("x", i), "job", uint64(i+8))
	}
	j.Attempted("unanswered", "job")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := oracle.Judge(j.Dir())
	if err != nil {
		t.Fatal(err)
	}
	examples := v.Examples
	v.Examples = nil
	want := oracle.Verdict{Lost: 40, Attempted: 28, Acknowledged: 27, Stored: 7, Projected: 7, Delivered: 7, Clients: 1, Unanswered: 1}
	if fmt.Sprintf("%+v", v) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", v, want)
	}
	if len(examples) != 5 {
		t.Errorf("got %d examples of one kind, want the first 5: %q", len(examples), examples)
	}
}

// Many write at once, the files are opened again, and a line that its writer could
// not finish counts as not written.
func TestJournalIsAppendOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const writers, each = 8, 50
	for life := range 2 {
		j, err := oracle.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		for w := range writers {
			running.Go(func() {
				job := fmt.Sprint("job-", w)
				for i := life * each; i < (life+1)*each; i++ {
					j.Attempted(fmt.Sprint(job, "/", i), job)
					j.Stored(fmt.Sprint(job, "/", i), job, uint64(i+1))
				}
			})
		}
		running.Wait()
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.OpenFile(filepath.Join(dir, "S.ndjson"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"id":"job-1/`); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := oracle.Judge(dir)
	if err != nil || !v.Good() || v.Stored != 2*writers*each {
		t.Errorf("got %+v, %v; want %d stored and nothing wrong", v, err, 2*writers*each)
	}
}

func TestJudgeRefusesWhatNoJournalWrites(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x\n", "{}\n", "null\n", `{"job":"a"}{"job":"a"}` + "\n", "[]\n", `{"job":1}` + "\n", `{"job":"a","seq":1}` + "\n", "\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "C-a.ndjson"), []byte(`{"job":"a"}`+"\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := oracle.Judge(dir)
		if !errors.Is(err, oracle.ErrMalformed) || !strings.Contains(err.Error(), "C-a: malformed journal: line 2") {
			t.Errorf("%q: got %v, want ErrMalformed with the file and the line", text, err)
		}
	}
	if _, err := oracle.Judge(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the folder: got %v, want os.ErrNotExist", err)
	}
}

// A full disk, or a folder that went away, is said when the journal is closed.
func TestJournalKeepsItsFirstError(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "gone")
	j, err := oracle.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	j.Attempted("x", "job")
	j.Stored("x", "job", 1)
	if err := j.Close(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "journal A") {
		t.Errorf("got %v, want the failure to write A", err)
	}
}

package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// shownIDs bounds the ids that a verdict names of each kind.
const shownIDs = 5

// Verdict is what the journals of a trial say. All four are 0 after a good one.
type Verdict struct {
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"`
	Reordered  int `json:"reordered"`
	Phantom    int `json:"phantom"`

	Attempted    int `json:"attempted"`
	Acknowledged int `json:"acknowledged"`
	Stored       int `json:"stored"`
	Projected    int `json:"projected"`
	Delivered    int `json:"delivered"`

	// Examples are the first of what is wrong, as "lost from the log: job-1/7".
	Examples []string `json:"examples,omitempty"`
}

// Good reports whether nothing is wrong.
func (v Verdict) Good() bool { return v.Lost+v.Duplicated+v.Reordered+v.Phantom == 0 }

// String returns the four figures.
func (v Verdict) String() string {
	return fmt.Sprintf("%d lost, %d duplicated, %d reordered, %d phantom", v.Lost, v.Duplicated, v.Reordered, v.Phantom)
}

func (v *Verdict) blame(count *int, format string, args ...any) {
	if *count++; *count <= shownIDs {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

// Judge reads the journals in a folder. M counts when the file is there.
func Judge(dir string) (Verdict, error) {
	var v Verdict
	attempted, err := read(dir, "A")
	if err != nil {
		return v, err
	}
	acknowledged, err := read(dir, "K")
	if err != nil {
		return v, err
	}
	stored, err := read(dir, "S")
	if err != nil {
		return v, err
	}
	v.Attempted, v.Acknowledged, v.Stored = len(attempted), len(acknowledged), len(stored)

	place := make(map[string]int, len(attempted)) // in A
	for i, e := range attempted {
		place[e.ID] = i
	}
	inLog := make(map[string]entry, len(stored))
	latest := map[string]int{} // by job, the place in A of its newest record
	for _, e := range stored {
		at, known := place[e.ID]
		if !known {
			v.blame(&v.Phantom, "phantom in the log: %s at %d", e.ID, e.Sequence)
			continue
		}
		if earlier, twice := inLog[e.ID]; twice {
			v.blame(&v.Duplicated, "twice in the log: %s at %d and %d", e.ID, earlier.Sequence, e.Sequence)
			continue
		}
		inLog[e.ID] = e
		if before, any := latest[e.Job]; any && at < before {
			v.blame(&v.Reordered, "out of order in the log: %s at %d", e.ID, e.Sequence)
		}
		latest[e.Job] = at
	}
	for _, e := range acknowledged {
		if inLog[e.ID].Sequence != e.Sequence {
			v.blame(&v.Lost, "lost from the log: %s, acknowledged at %d", e.ID, e.Sequence)
		}
	}
	if err := v.judgeMongo(dir, acknowledged); err != nil {
		return v, err
	}
	return v, v.judgeClients(dir, stored)
}

func (v *Verdict) judgeMongo(dir string, acknowledged []entry) error {
	if _, err := os.Stat(filepath.Join(dir, "M.ndjson")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	projected, err := read(dir, "M")
	if err != nil {
		return err
	}
	v.Projected = len(projected)
	there := make(map[string]bool, len(projected))
	for _, e := range projected {
		if there[e.ID] {
			v.blame(&v.Duplicated, "twice in MongoDB: %s at %d", e.ID, e.Sequence)
		}
		there[e.ID] = true
	}
	for _, e := range acknowledged {
		if !there[e.ID] {
			v.blame(&v.Lost, "lost from MongoDB: %s, acknowledged at %d", e.ID, e.Sequence)
		}
	}
	return nil
}

func (v *Verdict) judgeClients(dir string, stored []entry) error {
	files, err := filepath.Glob(filepath.Join(dir, "C-*.ndjson"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, file := range files {
		name := filepath.Base(file)
		name = name[:len(name)-len(".ndjson")]
		delivered, err := read(dir, name)
		if err != nil {
			return err
		}
		v.judgeClient(name, delivered, stored)
	}
	return nil
}

func (v *Verdict) judgeClient(name string, delivered, stored []entry) {
	from, last, got := map[string]uint64{}, map[string]uint64{}, map[string]bool{}
	for _, e := range delivered {
		if e.Follows {
			from[e.Job], last[e.Job] = e.Sequence, e.Sequence
			continue
		}
		v.Delivered++
		if got[e.ID] && !e.Resumed {
			v.blame(&v.Duplicated, "twice to %s: %s at %d", name, e.ID, e.Sequence)
		} else if e.Sequence < last[e.Job] && !e.Resumed {
			v.blame(&v.Reordered, "out of order to %s: %s at %d", name, e.ID, e.Sequence)
		}
		got[e.ID], last[e.Job] = true, e.Sequence
	}
	for _, e := range stored {
		if after, follows := from[e.Job]; follows && e.Sequence > after && !got[e.ID] {
			v.blame(&v.Lost, "not delivered to %s: %s at %d", name, e.ID, e.Sequence)
		}
	}
}

// read returns the lines of one file; one that is not there has none.
func read(dir, name string) ([]entry, error) {
	file, err := os.Open(filepath.Join(dir, name+".ndjson"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = file.Close() }()
	var entries []entry
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("read journal %s: line %d: %w", name, len(entries)+1, err)
		}
		entries = append(entries, e)
	}
	return entries, lines.Err()
}

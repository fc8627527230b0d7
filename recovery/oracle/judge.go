package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// place is where an event stands: a job and a sequence of it.
type place struct {
	job      string
	sequence uint64
}

func (p place) String() string { return fmt.Sprintf("%s at %d", p.job, p.sequence) }

// truth is what A, K and S say together.
type truth struct {
	acknowledged []entry            // one for each id
	stored       map[string][]place // by id, all of them
	byJob        map[string][]entry // S by job, in its order
}

// Judge reads the files in a folder. The error is about the files, and matches
// [ErrMalformed] when their content is; a bad verdict is none.
func Judge(dir string) (Verdict, error) {
	var v Verdict
	attempted, err := readFile(dir, attemptedFile)
	if err != nil {
		return v, err
	}
	acknowledged, err := readFile(dir, acknowledgedFile)
	if err != nil {
		return v, err
	}
	stored, err := readFile(dir, storedFile)
	if err != nil {
		return v, err
	}
	known := v.judgeLog(attempted, acknowledged, stored)
	names, err := files(dir)
	if err != nil {
		return v, err
	}
	for _, name := range names {
		entries, err := readFile(dir, name)
		switch {
		case err != nil:
			return v, err
		case name == projectedFile:
			v.judgeProjected(entries, known)
		case strings.HasPrefix(name, clientPrefix):
			v.judgeClients(strings.TrimPrefix(name, clientPrefix), entries, known)
		}
	}
	return v, nil
}

// files returns the names of the files, in order.
func files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name, is := strings.CutSuffix(filepath.Base(e.Name()), suffix); is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (v *Verdict) judgeLog(attempted, acknowledged, stored []entry) truth {
	turn := make(map[string]int, len(attempted)) // by id, of its first attempt
	for i, e := range attempted {
		if _, repeated := turn[e.ID]; !repeated {
			turn[e.ID] = i
		}
	}
	t := truth{stored: make(map[string][]place, len(stored)), byJob: map[string][]entry{}}
	newest := map[string]int{} // by job, the turn of its newest record
	for _, e := range stored {
		lines := t.byJob[e.Job]
		if len(lines) > 0 && e.Sequence <= lines[len(lines)-1].Sequence {
			v.blame(&v.Reordered, "sequence goes back in the log: %s at %d", e.ID, e.Sequence)
		}
		t.byJob[e.Job] = append(lines, e)
		earlier := t.stored[e.ID]
		t.stored[e.ID] = append(earlier, place{e.Job, e.Sequence})
		at, tried := turn[e.ID]
		switch {
		case !tried:
			v.blame(&v.Phantom, "never attempted, in the log: %q at %d", e.ID, e.Sequence)
		case len(earlier) > 0:
			v.blame(&v.Duplicated, "twice in the log: %s at %d and %d", e.ID, earlier[0].sequence, e.Sequence)
		default:
			if before, any := newest[e.Job]; any && at < before {
				v.blame(&v.Reordered, "not in the order of the attempts, in the log: %s at %d", e.ID, e.Sequence)
			}
			newest[e.Job] = at
		}
	}
	confirmed := map[string]bool{}
	for _, e := range acknowledged {
		if confirmed[e.ID] {
			continue
		}
		confirmed[e.ID] = true
		t.acknowledged = append(t.acknowledged, e)
		places := t.stored[e.ID]
		if len(places) == 0 {
			v.blame(&v.Lost, "lost from the log: %s, acknowledged at %d", e.ID, e.Sequence)
		} else if e.Sequence != 0 && !slices.Contains(places, place{e.Job, e.Sequence}) {
			v.blame(&v.Lost, "acknowledged at %d and stored elsewhere: %s, %v", e.Sequence, e.ID, places[0])
		}
	}
	for id := range turn {
		if !confirmed[id] {
			v.Unanswered++
		}
	}
	v.Attempted, v.Acknowledged, v.Stored = len(turn), len(confirmed), len(stored)
	return t
}

func (v *Verdict) judgeProjected(projected []entry, t truth) {
	v.Projected = len(projected)
	there := make(map[string]bool, len(projected))
	for _, e := range projected {
		if there[e.ID] {
			v.blame(&v.Duplicated, "twice in MongoDB: %s at %d", e.ID, e.Sequence)
		} else if !slices.Contains(t.stored[e.ID], place{e.Job, e.Sequence}) {
			v.blame(&v.Phantom, "in MongoDB and not so in the log: %q at %d", e.ID, e.Sequence)
		}
		there[e.ID] = true
	}
	for _, e := range t.acknowledged {
		if !there[e.ID] {
			v.blame(&v.Lost, "lost from MongoDB: %s, acknowledged at %d", e.ID, e.Sequence)
		}
	}
}

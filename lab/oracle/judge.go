package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// place is the position of an event: a job and a sequence in it.
type place struct {
	job      string
	sequence uint64
}

func (p place) String() string { return fmt.Sprintf("%s at %d", p.job, p.sequence) }

// truth is the combined content of A, K, S and P.
type truth struct {
	acknowledged []entry            // one for each id
	stored       map[string][]place // S by id, all of them
	purged       map[string][]place // P by id, all of them
	byJob        map[string][]entry // S by job, in its order
}

// has reports whether the log has an event at a place, or had it before a purge.
func (t truth) has(id string, at place) bool { return t.stands(id, at) || t.gone(id, at) }

// stands reports whether the log has an event at a place.
func (t truth) stands(id string, at place) bool { return slices.Contains(t.stored[id], at) }

// gone reports whether the log had an event at a place before a purge, and no longer has
// it. A purge may remove less than was recorded.
func (t truth) gone(id string, at place) bool {
	return slices.Contains(t.purged[id], at) && !t.stands(id, at)
}

// Judge reads the files in a folder. The error is about the files, and matches
// [ErrMalformed] if their content is malformed; a bad verdict is not an error.
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
	purged, err := readFile(dir, purgedFile)
	if err != nil {
		return v, err
	}
	known := v.judgeLog(attempted, acknowledged, stored, purged)
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

func (v *Verdict) judgeLog(attempted, acknowledged, stored, purged []entry) truth {
	turn := make(map[string]int, len(attempted)) // by id, of its first attempt
	for i, e := range attempted {
		if _, repeated := turn[e.ID]; !repeated {
			turn[e.ID] = i
		}
	}
	t := truth{stored: make(map[string][]place, len(stored)), purged: map[string][]place{}, byJob: map[string][]entry{}}
	for _, e := range purged {
		t.purged[e.ID] = append(t.purged[e.ID], place{e.Job, e.Sequence})
	}
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
	confirmed := v.judgeAcknowledged(acknowledged, &t)
	for id := range turn {
		if !confirmed[id] {
			v.Unanswered++
		}
	}
	v.Attempted, v.Acknowledged, v.Stored = len(turn), len(confirmed), len(stored)
	return t
}

// judgeAcknowledged checks for each receipt whether the event is at its place, or was
// before a purge. An event that was stored again after a purge has a second receipt.
func (v *Verdict) judgeAcknowledged(acknowledged []entry, t *truth) (confirmed map[string]bool) {
	confirmed = map[string]bool{}
	for _, e := range acknowledged {
		if confirmed[e.ID] && (len(t.purged[e.ID]) == 0 || e.Sequence == 0) {
			continue
		}
		if !confirmed[e.ID] {
			confirmed[e.ID] = true
			t.acknowledged = append(t.acknowledged, e)
		}
		places := slices.Concat(t.stored[e.ID], t.purged[e.ID])
		if len(places) == 0 {
			v.blame(&v.Lost, "lost from the log: %s, acknowledged at %d", e.ID, e.Sequence)
		} else if e.Sequence != 0 && !slices.Contains(places, place{e.Job, e.Sequence}) {
			v.blame(&v.Lost, "acknowledged at %d and stored elsewhere: %s, %v", e.Sequence, e.ID, places[0])
		}
	}
	return confirmed
}

func (v *Verdict) judgeProjected(projected []entry, t truth) {
	v.Projected = len(projected)
	there := make(map[string]bool, len(projected))
	for _, e := range projected {
		if there[e.ID] {
			v.blame(&v.Duplicated, "twice in MongoDB: %s at %d", e.ID, e.Sequence)
		} else if !t.has(e.ID, place{e.Job, e.Sequence}) {
			v.blame(&v.Phantom, "in MongoDB and not so in the log: %q at %d", e.ID, e.Sequence)
		}
		there[e.ID] = true
	}
	for _, e := range t.acknowledged {
		purged := len(t.purged[e.ID]) > 0 && len(t.stored[e.ID]) == 0
		if !there[e.ID] && !purged {
			v.blame(&v.Lost, "lost from MongoDB: %s, acknowledged at %d", e.ID, e.Sequence)
		}
	}
}

package projections

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The pace at which the record of one document is searched for. It slows down with the time
// since the first search, because most documents that have no record by then never get one.
const (
	lookInterval = time.Second     // between the first looks
	lateInterval = 5 * time.Minute // between the last ones
	// lookShare is the part of the time since the first look that passes before the next.
	lookShare = 8
	// widelyAfter is when a record is first looked for among all records of the job. By
	// then most documents have found theirs among the records of about the same time.
	widelyAfter = time.Second
)

// look is the state of the search for the record of one document.
type look struct {
	job                 string
	first, last, widely time.Time // the first look, the last one, and the last one among all records of the job
	hastened            bool      // the job has new records, or was erased
	refused             bool      // MongoDB has refused to adopt the document
}

// looks is what an adopter remembers of documents without a record, by their _ids. It
// holds reach.recent entries at most, one of which takes some 200 bytes: documents that
// are no longer among the newest are forgotten.
type looks struct {
	of          map[string]look
	widelyAfter time.Duration
}

func newLooks() looks { return looks{of: make(map[string]look), widelyAfter: widelyAfter} }

// due returns the documents whose records are to be searched for now. Those that are new
// come first.
func (l *looks) due(ids []bson.RawValue, now time.Time) []bson.RawValue {
	var first, again []bson.RawValue
	for _, id := range ids {
		name := nameOf(id)
		switch _, found := l.of[name]; {
		case !found:
			first = append(first, id)
		case l.isDue(name, now):
			again = append(again, id)
		}
	}
	return append(first, again...)
}

// isDue reports whether the record of a document is to be searched for now.
func (l *looks) isDue(id string, now time.Time) bool {
	look := l.of[id]
	switch {
	case look.refused:
		return now.Sub(look.last) >= lateInterval
	case look.hastened:
		return now.Sub(look.last) >= lookInterval
	}
	return now.Sub(look.last) >= min(max(now.Sub(look.first)/lookShare, lookInterval), lateInterval)
}

// note notes that the record of a document of the job is being searched for.
func (l *looks) note(id, job string, now time.Time) {
	look := l.of[id]
	if look.first.IsZero() {
		look.first, look.widely = now, now
	}
	look.job, look.last = job, now
	l.of[id] = look
}

// noteWidely reports whether the record of a document is to be searched for among all
// records of the job, and notes it if so. That is the case first after widelyAfter, then
// each time that the time since the first search has doubled, and soon after the job has new
// records.
func (l *looks) noteWidely(id string, now time.Time) bool {
	look := l.of[id]
	pause := min(max(look.widely.Sub(look.first), l.widelyAfter), lateInterval)
	if look.hastened {
		pause = min(pause, 2*lookInterval)
	}
	if now.Sub(look.widely) < pause {
		return false
	}
	look.widely, look.hastened = now, false
	l.of[id] = look
	return true
}

// refuse notes that MongoDB has refused to adopt a document.
func (l *looks) refuse(id string, now time.Time) {
	look := l.of[id]
	look.refused, look.last = true, now
	l.of[id] = look
}

// keep removes all other documents.
func (l *looks) keep(ids []bson.RawValue) {
	kept := make(map[string]look, min(len(ids), len(l.of)))
	for _, id := range ids {
		if look, found := l.of[nameOf(id)]; found {
			kept[nameOf(id)] = look
		}
	}
	l.of = kept
}

// hasten makes the documents of some jobs due.
func (l *looks) hasten(jobs map[string]bool) {
	for id, look := range l.of {
		if jobs[look.job] {
			look.hastened = true
			l.of[id] = look
		}
	}
}

// jobs returns at most limit of the jobs whose documents have no record.
func (l *looks) jobs(limit int) bson.A {
	found := make(map[string]bool)
	jobs := bson.A{}
	for _, look := range l.of {
		if look.job == "" || found[look.job] {
			continue
		}
		if len(jobs) == limit {
			break
		}
		found[look.job] = true
		jobs = append(jobs, look.job)
	}
	return jobs
}

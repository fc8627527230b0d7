package projections

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// adoptionCollection holds the lease of the adopter: one process does its work.
const adoptionCollection = "novel_projection_adoption"

const (
	// leaseTime is for how long the lease of an adopter that has died keeps out the others.
	leaseTime = 3 * time.Second
	// maxAgain bounds the jobs whose documents one pass adopts, and so the jobs that the
	// next pass examines again. Their ids take at most 250 KB.
	maxAgain = 1000
)

// worked says which jobs a pass has worked on, and between which sequences.
type worked struct {
	Jobs  []string `bson:"jobs"`
	First int64    `bson:"first"`
	Last  int64    `bson:"last"`
}

// workedOn returns the pairs of at most maxAgain jobs, and the note of the work on them.
func workedOn(pairs []pair) (worked, []pair) {
	var w worked
	jobs := make(map[string]bool)
	pairs = slices.DeleteFunc(pairs, func(p pair) bool {
		job := p.record.key.jobID
		if !jobs[job] {
			if len(jobs) == maxAgain {
				return true
			}
			jobs[job] = true
			w.Jobs = append(w.Jobs, job)
		}
		sequence := int64(p.record.Sequence)
		w.add(worked{First: sequence, Last: sequence})
		return false
	})
	return w, pairs
}

// add adds what other has to w.
func (w *worked) add(other worked) {
	w.Jobs = append(w.Jobs, other.Jobs...)
	if other.First > 0 && (w.First == 0 || other.First < w.First) {
		w.First = other.First
	}
	w.Last = max(w.Last, other.Last)
}

// lease takes or renews the lease, and writes the note of the work that follows, unless it
// is nil. It returns the earlier note, of whichever process. held is false while another
// process has the lease.
func (a *adopter) lease(ctx context.Context, note *worked) (before worked, held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.WriteTimeout)
	defer cancel()
	at := time.Now()
	defer func() {
		if held && err == nil {
			a.leased = at
		}
	}()
	filter := bson.D{{Key: fieldID, Value: "lease"}, {Key: "$or", Value: bson.A{
		bson.D{{Key: "holder", Value: a.holder}},
		bson.D{{Key: "until", Value: bson.D{{Key: "$lt", Value: at}}}},
	}}}
	set := bson.D{{Key: "holder", Value: a.holder}, {Key: "until", Value: at.Add(leaseTime)}}
	if note != nil {
		set = append(set, bson.E{Key: "jobs", Value: note.Jobs}, bson.E{Key: "first", Value: note.First}, bson.E{Key: "last", Value: note.Last})
	}
	err = a.leases().FindOneAndUpdate(ctx, filter, bson.D{{Key: "$set", Value: set}},
		options.FindOneAndUpdate().SetReturnDocument(options.Before)).Decode(&before)
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return before, err == nil, err
	}
	// Another process has the lease, or there is no document yet.
	_, err = a.leases().InsertOne(ctx, bson.D{{Key: fieldID, Value: "lease"}, {Key: "holder", Value: a.holder}, {Key: "until", Value: at.Add(leaseTime)}})
	if mongo.IsDuplicateKeyError(err) {
		return worked{}, false, nil
	}
	return worked{}, err == nil, err
}

// givingUp bounds the update that ends the lease. It is a part of the time that the stop of
// a process has for its projections.
const givingUp = time.Second / 4

// giveUp lets another process take the lease at once.
func (a *adopter) giveUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, givingUp)
	defer cancel()
	// If this fails, the lease expires.
	_, _ = a.leases().UpdateOne(ctx, bson.D{{Key: fieldID, Value: "lease"}, {Key: "holder", Value: a.holder}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "until", Value: time.Time{}}}}})
}

func (a *adopter) leases() *mongo.Collection {
	return a.events.Database().Collection(adoptionCollection, sure())
}

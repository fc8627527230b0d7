package projections

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

const (
	// scanTime bounds a search of novel_jobs that no index serves, with the wait for
	// others.
	scanTime = time.Second
	// scansAtOnce bounds these searches in number.
	scansAtOnce = 2
	// indexAge is for how long an answer about the indexes is used: workers may create
	// and drop them.
	indexAge = time.Minute
)

// workersJobs caches whether novel_jobs has an index on jobId. The workers create its
// indexes.
type workersJobs struct {
	scans chan struct{} // has a place for each search without an index

	mu      sync.Mutex // guards the rest
	looked  time.Time
	indexed bool
	warned  bool
}

func newWorkersJobs() *workersJobs { return &workersJobs{scans: make(chan struct{}, scansAtOnce)} }

// findJob returns the job's document in novel_jobs, or mongo.ErrNoDocuments.
//
// The workers' index on jobId serves it. Without one, MongoDB reads the whole collection for
// each search. This is logged once, and a search that takes longer than a second ends
// without a document, so that it delays no reader and does not count as an outage.
func (s *Store) findJob(ctx context.Context, jobID string) (doc bson.Raw, err error) {
	find := func(ctx context.Context) (err error) {
		doc, err = s.jobs.FindOne(ctx, bson.D{{Key: fieldJobID, Value: jobID}}).Raw()
		return err
	}
	indexed, err := s.jobsIndexed(ctx)
	if err != nil {
		return nil, err
	}
	if indexed {
		err = s.read(ctx, jobsCollection, find)
		return doc, err
	}
	scan, cancel := context.WithTimeout(ctx, scanTime)
	defer cancel()
	select {
	case s.workers.scans <- struct{}{}:
		defer func() { <-s.workers.scans }()
		err = s.read(scan, jobsCollection, find)
	case <-scan.Done():
		err = scan.Err()
	}
	if scan.Err() != nil && ctx.Err() == nil {
		return nil, mongo.ErrNoDocuments
	}
	return doc, err
}

// known returns the last answer about the indexes. It reports false when MongoDB has to be
// asked, which one caller does at a time, while the others use the last answer.
func (w *workersJobs) known() (indexed, fresh bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fresh = time.Since(w.looked) < indexAge
	if !fresh && !w.looked.IsZero() {
		w.looked = time.Now()
	}
	return w.indexed, fresh
}

// forget makes the next caller ask MongoDB.
func (w *workersJobs) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked = time.Time{}
}

// jobsIndexed reports whether an index of novel_jobs begins with jobId.
func (s *Store) jobsIndexed(ctx context.Context) (bool, error) {
	w := s.workers
	indexed, fresh := w.known()
	if fresh {
		return indexed, nil
	}
	indexed = false
	var specs []mongo.IndexSpecification
	err := s.read(ctx, jobsCollection, func(ctx context.Context) (err error) {
		specs, err = s.jobs.Indexes().ListSpecifications(ctx)
		return err
	})
	if err != nil && hasServerCode(err, codeNamespaceNotFound) {
		err = nil // There is no such collection.
	}
	if err != nil {
		w.forget()
		return false, err
	}
	for _, spec := range specs {
		if first, err := spec.KeysDocument.IndexErr(0); err == nil && first.Key() == fieldJobID {
			indexed = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.indexed, w.looked = indexed, time.Now()
	if !indexed && len(specs) > 0 && !w.warned {
		w.warned = true
		s.logger.WarnContext(ctx, "No index of the workers' collection begins with jobId; searches for a job's last status read all of it, and are cut off after a second",
			slog.String("collection", jobsCollection))
	}
	return indexed, nil
}

package rebuild_test

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/projections"
)

// workersCopies inserts the documents that a worker of the contract would have written
// of every event that is in the collection.
func (s *system) workersCopies() (count int) {
	s.t.Helper()
	cursor, err := s.db.Collection("novel_job_events").Find(s.t.Context(), bson.D{{Key: "epoch", Value: s.log.Epoch()}})
	if err != nil {
		s.t.Fatal(err)
	}
	var docs []bson.M
	if err := cursor.All(s.t.Context(), &docs); err != nil {
		s.t.Fatal(err)
	}
	for _, doc := range docs {
		delete(doc, "_id")
		delete(doc, "sequence")
		delete(doc, "epoch")
		delete(doc, "eventId")
		doc["emittedAt"] = "2025-01-02T03:04:05.670Z"
		if _, err := s.db.Collection("novel_job_events").InsertOne(s.t.Context(), doc); err != nil {
			s.t.Fatal(err)
		}
	}
	return len(docs)
}

func (s *system) documents() int {
	s.t.Helper()
	n, err := s.db.Collection("novel_job_events").CountDocuments(s.t.Context(), bson.D{{Key: "jobId", Value: bson.D{{Key: "$gt", Value: ""}}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return int(n)
}

// Events that stand twice, as a version without adoption left them, are counted by a
// comparison, and mended on request or by a rebuild.
func TestDoubledEventsAreMended(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.append(40)
	s.project()
	s.settled()
	s.live()
	history := s.rebuild(projections.History)

	n := s.workersCopies()
	report, err := history.Verify(t.Context(), false, 5)
	if err != nil || !report.Equal || n != 40 || report.Doubled != 40 || report.Adopted != 0 || s.documents() != 80 {
		t.Fatalf("before: %+v, %v", report, err)
	}
	if mended, err := history.MendDoubled(t.Context()); err != nil || mended != 40 {
		t.Errorf("mended %d: %v", mended, err)
	}
	report, err = history.Verify(t.Context(), false, 5)
	if err != nil || !report.Equal || report.Doubled != 0 || report.Adopted != 40 || report.Kept != 0 || s.documents() != 40 {
		t.Errorf("after: %+v, %v", report, err)
	}

	// Written more often than published: what is left over is nobody's, and stays.
	s.workersCopies()
	report, err = history.Verify(t.Context(), false, 5)
	if err != nil || !report.Equal || report.Doubled != 0 || report.Kept != 40 {
		t.Errorf("written twice: %+v, %v", report, err)
	}
	if _, err := s.swap(projections.History); err != nil { // which mends, too
		t.Fatal(err)
	}
	report, err = history.Verify(t.Context(), false, 5)
	if err != nil || !report.Equal || report.Doubled != 0 || report.Adopted != 40 || report.Kept != 40 || s.documents() != 80 {
		t.Errorf("after the rebuild: %+v, %v, %d documents", report, err, s.documents())
	}
}

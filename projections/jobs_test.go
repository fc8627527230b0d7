package projections_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// A job's last status has the shape that the workers' own API gives it.
func TestStatusOfTheWorkersAggregate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	names, err := filepath.Glob("testdata/v1/aggregates/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("fixtures: %q, %v", names, err)
	}
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var fixture struct{ Document, Status json.RawMessage }
		if err := json.Unmarshal(file, &fixture); err != nil {
			t.Fatal(err)
		}
		var document bson.D
		if err := bson.UnmarshalExtJSON(fixture.Document, false, &document); err != nil {
			t.Fatal(err)
		}
		job := filepath.Base(name)
		for i := range document {
			if document[i].Key == "jobId" {
				document[i].Value = job
			}
		}
		b.insert(t, b.jobs(), document)
		head, found, err := b.Head(t.Context(), job)
		if err != nil || !found {
			t.Errorf("%s: %t, %v", name, found, err)
			continue
		}
		if head.Snapshot == nil {
			head.Snapshot = json.RawMessage("null")
		}
		got := `{"jobId": "job", "status": "` + head.Status + `", "emittedAt": "` + head.EmittedAt + `", "snapshot": ` + string(head.Snapshot) + `}`
		if want := compact(t, fixture.Status); compact(t, []byte(got)) != want {
			t.Errorf("%s:\n%s, want\n%s", name, compact(t, []byte(got)), want)
		}
	}
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var short bytes.Buffer
	if err := json.Compact(&short, text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return short.String()
}

// A search that no index serves is said once, and only where there is something to
// search.
func TestJobsWithoutAnIndex(t *testing.T) {
	t.Parallel()
	const warning = "No index of the workers' collection begins with jobId"
	for indexed, warnings := range map[bool]int{true: 0, false: 1} {
		t.Run(map[bool]string{true: "indexed", false: "not indexed"}[indexed], func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if indexed {
				if _, err := b.jobs().Indexes().CreateOne(t.Context(), mongo.IndexModel{Keys: bson.D{{Key: "jobId", Value: 1}, {Key: "status", Value: 1}}}); err != nil {
					t.Fatal(err)
				}
			}
			b.insert(t, b.jobs(), bson.D{{Key: "jobId", Value: "job"}, {Key: "status", Value: "running"}})
			for range 3 {
				if head, found, err := b.Head(t.Context(), "job"); err != nil || !found || head.Status != "running" {
					t.Errorf("%+v, %t, %v", head, found, err)
				}
				if _, found, err := b.Head(t.Context(), "none"); err != nil || found {
					t.Errorf("%t, %v", found, err)
				}
			}
			if n := strings.Count(b.logs.String(), warning); n != warnings {
				t.Errorf("%d warnings, want %d", n, warnings)
			}
		})
	}
	b := setup(t)
	if _, found, err := b.Head(t.Context(), "job"); err != nil || found || strings.Contains(b.logs.String(), warning) {
		t.Errorf("without the collection: %t, %v, %s", found, err, b.logs.String())
	}
}

// An index that the workers drop is missed, and one that they create is used.
func TestJobsIndexIsAskedForAgain(t *testing.T) {
	t.Parallel()
	const warning = "No index of the workers' collection begins with jobId"
	b := setup(t)
	name, err := b.jobs().Indexes().CreateOne(t.Context(), mongo.IndexModel{Keys: bson.D{{Key: "jobId", Value: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	b.insert(t, b.jobs(), bson.D{{Key: "jobId", Value: "job"}, {Key: "status", Value: "running"}})
	find := func() {
		t.Helper()
		if head, found, err := b.Head(t.Context(), "job"); err != nil || !found || head.Status != "running" {
			t.Errorf("%+v, %t, %v", head, found, err)
		}
	}
	find()
	b.AgeIndexes()
	find()
	if strings.Contains(b.logs.String(), warning) {
		t.Error("warned although there is an index")
	}
	if err := b.jobs().Indexes().DropOne(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	find()
	b.AgeIndexes()
	find()
	if n := strings.Count(b.logs.String(), warning); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
}

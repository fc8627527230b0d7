package projections_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/projections"
)

// MongoDB is exercised without a trace in the history of a job, with a witness and
// without; one that refuses writes says so.
func TestExercise(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.Exercise(t.Context(), "a"); err != nil {
		t.Errorf("an empty MongoDB: %v", err)
	}
	b.project(t, newFeed(status(1, "job", "running", "{}")))
	if err := b.Exercise(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	refusing, err := projections.New(b.events().Database().Client().Database("a/typo"), projections.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := refusing.Exercise(t.Context(), "c"); err == nil {
		t.Error("a database that cannot be written to is taken")
	}
}

// A connection string is checked without the network.
func TestCheckURI(t *testing.T) {
	t.Parallel()
	for uri, valid := range map[string]bool{
		"mongodb://host/db":                                               true,
		"mongodb://u:p%40ss@a,b:1/db?replicaSet=rs":                       true,
		"mongodb://host/db?readPreference=nonsense":                       false,
		"mongodb+srv://nosuch.example.invalid/db":                         true,
		"mongodb+srv://u:p@nosuch.example.invalid/?srvMaxHosts=2":         true,
		"mongodb+srv://nosuch.example.invalid/db?w=majority":              true,
		"mongodb+srv://nosuch.example.invalid:27017/db":                   false,
		"mongodb+srv://nosuch.example.invalid/db?readPreference=nonsense": false,
		"http://host/db": false,
	} {
		if err := projections.CheckURI(uri); (err == nil) != valid || err != nil && !errors.Is(err, projections.ErrInvalidURI) {
			t.Errorf("%s: %v", uri, err)
		}
	}
	// MongoDB may come later, and its name too.
	db, err := projections.Connect("mongodb+srv://nosuch.example.invalid/db")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Client().Disconnect(t.Context()); err != nil {
		t.Error(err)
	}
}

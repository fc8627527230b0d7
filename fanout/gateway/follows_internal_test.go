package gateway

import (
	"maps"
	"testing"
)

// TestFollows compares the subscriptions of a client with a map, through one, several, and
// one again.
func TestFollows(t *testing.T) {
	t.Parallel()
	var f follows
	model := make(map[string]*follow)
	check := func(step string) {
		t.Helper()
		if got := maps.Collect(f.all()); !maps.Equal(got, model) {
			t.Errorf("%s: %d subscriptions, want %d", step, len(got), len(model))
		}
		if f.count() != len(model) {
			t.Errorf("%s: count %d, want %d", step, f.count(), len(model))
		}
		for _, jobID := range []string{"", "a", "b", "c"} {
			if f.get(jobID) != model[jobID] {
				t.Errorf("%s: get(%q) differs", step, jobID)
			}
		}
	}
	check("none")
	for _, step := range []struct {
		jobID string
		set   bool
	}{
		{"a", true},
		{"b", false},
		{"a", true},
		{"a", false},
		{"a", false},
		{"b", true},
		{"c", true},
		{"b", true},
		{"b", false},
		{"c", false},
		{"a", true},
		{"a", false},
	} {
		if step.set {
			followed := &follow{}
			f.set(step.jobID, followed)
			model[step.jobID] = followed
		} else {
			f.remove(step.jobID)
			delete(model, step.jobID)
		}
		check(step.jobID)
	}
}

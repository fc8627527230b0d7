package messaging_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// TestParseJobID: a jobId is the same whether it is published, subscribed to or read, so
// that white space around it makes no job that cannot be reached.
func TestParseJobID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"job": "job", " job": "job", "job\t\n": "job", "\u00a0\ufeffjob one\u2029": "job one", "\u200bjob": "\u200bjob", "": "", " \u3000": "", "a\nb": "",
	} {
		jobID, err := messaging.ParseJobID(text)
		if want == "" && err == nil || want != "" && (err != nil || jobID != want) {
			t.Errorf("%q is %q, %v; want %q", text, jobID, err, want)
		}
		quoted := `{"kind":"job-status","status":"running","jobId":` + quote(t, text) + `}`
		envelope, err := messaging.DefaultCatalogue().Decode([]byte(quoted), math.MaxInt)
		if want == "" && err == nil || want != "" && (err != nil || envelope.JobID != want) {
			t.Errorf("published as %q it is %q, %v; want %q", text, envelope.JobID, err, want)
		}
		made, err := messaging.NewJobStatus(text, "running", nil)
		if want == "" && err == nil || want != "" && (err != nil || made.JobID != want) {
			t.Errorf("made as %q it is %q, %v; want %q", text, made.JobID, err, want)
		}
	}
}

func quote(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}

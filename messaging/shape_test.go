package messaging

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzShape requires of every envelope that a shape accepts that the schema of its
// kind accepts it, too.
func FuzzShape(f *testing.F) {
	for _, folder := range []string{"accepted", "rejected"} {
		files, err := filepath.Glob(filepath.Join("testdata", "v1", folder, "*"))
		if err != nil || len(files) == 0 {
			f.Fatalf("no fixtures in %s: %v", folder, err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	for _, raw := range []string{
		`{"kind":"domain","jobId":"j","event":{"type":"a","type":"","occurredAt":"now"}}`,
		`{"kind":"domain","jobId":"j","event":{"type":"","type":"a","occurredAt":"\ud800"}}`,
		`{"kind":"domain","jobId":"j","event":{"\u0074ype":"a","occurredAt":"now"}}`,
		`{"kind":"domain","jobId":"j","event":{"type":1,"occurredAt":"now"}}`,
		`{"kind":"job-status","jobId":"j","status":"running","snapshot":null}`,
		`{"kind":"job-status","jobId":"j","status":"running","snapshot":{},"snapshot":[]}`,
		`{"kind":"job-status","jobId":"j","status":"run\u006eing"}`,
		`{"version":1.0,"kind":"job-status","jobId":"j","status":"running","event":3,"traceparent":7}`,
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		envelope, err := DefaultCatalogue().Decode(raw, 1<<16)
		if err != nil {
			return
		}
		fields, _, err := readFields(raw)
		if err != nil {
			t.Fatal(err)
		}
		entry := DefaultCatalogue().now().entries[envelope.Kind]
		if entry.shape == nil {
			t.Fatalf("kind %s has no shape", envelope.Kind)
		}
		if err := entry.validate(raw, envelope); err != nil && entry.shape(fields) {
			t.Fatalf("the shape accepts what the schema refuses: %v", err)
		}
	})
}

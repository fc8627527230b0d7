package projections

import (
	"bytes"
	"encoding/json"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// progress says how far a job is, according to the aggregate that its worker keeps. Its
// fields and their order are part of the contract with clients.
type progress struct {
	OutlineComplete   bool `json:"outlineComplete"`
	ChaptersCompleted int  `json:"chaptersCompleted"`
	ChaptersFailed    int  `json:"chaptersFailed"`
	TotalChapters     int  `json:"totalChapters"`
	HasFailures       bool `json:"hasFailures"`
}

// progressOf returns the progress of a document of novel_jobs; false for one without
// an outline and without chapters.
func progressOf(doc bson.Raw) (progress, bool) {
	outline, chapters := elements(doc, "outline"), elements(doc, "chapters")
	p := progress{OutlineComplete: len(outline) > 0, TotalChapters: len(outline)}
	if p.TotalChapters == 0 {
		p.TotalChapters = len(chapters)
	}
	for _, chapter := range chapters {
		fields, ok := chapter.DocumentOK()
		if !ok {
			continue
		}
		switch text(fields, fieldStatus) {
		case "completed":
			p.ChaptersCompleted++
		case "failed":
			p.ChaptersFailed++
		}
	}
	p.HasFailures = p.ChaptersFailed > 0 || len(elements(doc, "failures")) > 0
	return p, p.TotalChapters > 0
}

// elements returns the elements of an array, and none when the field is not an array.
func elements(doc bson.Raw, name string) []bson.RawValue {
	array, ok := doc.Lookup(name).ArrayOK()
	if !ok {
		return nil
	}
	values, _ := array.Values() // The document has been validated.
	return values
}

// aggregateSnapshot returns the snapshot {summary?, progress?} of a document of novel_jobs,
// or nil when it would be empty.
func aggregateSnapshot(doc bson.Raw) (json.RawMessage, error) {
	var snapshot struct {
		Summary  json.RawMessage `json:"summary,omitempty"`
		Progress *progress       `json:"progress,omitempty"`
	}
	if value, err := doc.LookupErr("summary"); err == nil {
		summary, err := appendValue(nil, value)
		if err != nil {
			return nil, err
		}
		snapshot.Summary = absentIfNull(summary)
	}
	if p, ok := progressOf(doc); ok {
		snapshot.Progress = &p
	}
	if snapshot.Summary == nil && snapshot.Progress == nil {
		return nil, nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // as stored
	err := encoder.Encode(snapshot)
	return bytes.TrimSpace(text.Bytes()), err
}

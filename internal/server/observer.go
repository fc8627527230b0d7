package server

import (
	"encoding/json"
	"time"

	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/internal/tracing"
	"github.com/letswriteabook/realtime/messaging"
)

// maxNamedBytes bounds the dead letters of which the flight recorder has the job and the id.
const maxNamedBytes = 1 << 20

// refused returns the note of a dead letter, with the job and the id that it names.
func refused(letter messaging.DeadLetter) recorder.Note {
	note := recorder.Note{At: letter.At, Stage: recorder.StageRefused, Detail: string(letter.Reason)}
	if len(letter.Body) > maxNamedBytes {
		return note
	}
	var named struct {
		ID    string `json:"id"`
		JobID string `json:"jobId"`
	}
	_ = json.Unmarshal(letter.Body, &named) // what cannot be read names none
	if messaging.ValidateJobID(named.JobID) == nil {
		note.JobID = named.JobID
	}
	if len(named.ID) <= messaging.MaxIDBytes {
		note.ID = named.ID
	}
	return note
}

// observer reports to the flight recorder and to the traces; each may be nil.
type observer struct {
	recorder *recorder.Recorder
	traces   *tracing.Tracer
}

// Received implements ingest.Tracer.
func (o observer) Received(record messaging.Record, system, source string, arrived, decoded time.Time) (span string, end func(messaging.Receipt, error)) {
	o.recorder.Note(recorder.Note{At: arrived, Stage: recorder.StageReceived, JobID: record.JobID, ID: record.ID, Detail: system})
	if o.traces == nil {
		return "", nil
	}
	return o.traces.Received(record, system, source, arrived, decoded)
}

// Refused implements ingest.Tracer. The flight recorder has refusals from [ingestLog].
func (o observer) Refused(traceParent, system, source, reason string, arrived time.Time) {
	if o.traces != nil {
		o.traces.Refused(traceParent, system, source, reason, arrived)
	}
}

// Written implements ingest.Tracer.
func (o observer) Written(spans []string, batch int, began, ended time.Time, err error) {
	if o.traces != nil {
		o.traces.Written(spans, batch, began, ended, err)
	}
}

// Projected implements projections.Tracer. An event that was stored longer ago than the
// recorder keeps anything is left out: a projection that reads the whole log would push out
// the notes of newer events.
func (o observer) Projected(projection string, records []messaging.Record, began, ended time.Time, err error) {
	if o.traces != nil {
		o.traces.Projected(projection, records, began, ended, err)
	}
	if err != nil || o.recorder == nil {
		return
	}
	for _, record := range records {
		if ended.Sub(record.StoredAt) < recorder.KeptFor {
			o.recorder.Note(recorder.Note{
				At: ended, Stage: recorder.StageProjected, JobID: record.JobID, ID: record.ID, Sequence: record.Sequence, Epoch: record.Epoch,
				Detail: projection, TookSeconds: ended.Sub(began).Seconds(),
			})
		}
	}
}

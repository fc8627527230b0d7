package replay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/messaging"
)

// Line is a record as one line of NDJSON.
type Line struct {
	Sequence  uint64         `json:"sequence"`
	Epoch     string         `json:"epoch"`
	JobID     string         `json:"jobId"`
	Kind      messaging.Kind `json:"kind"`
	ID        string         `json:"id,omitempty"`
	EmittedAt string         `json:"emittedAt"`
	StoredAt  time.Time      `json:"storedAt"`
	// ReplayOf is the epoch:sequence of the record that this one repeats.
	ReplayOf string `json:"replayOf,omitempty"`
	// Envelope is what was published, its white space aside.
	Envelope json.RawMessage `json:"envelope"`
}

// LineOf returns the line of a record.
func LineOf(record messaging.Record) Line {
	line := Line{
		Sequence: record.Sequence, Epoch: record.Epoch, JobID: record.JobID, Kind: record.Kind, ID: record.ID,
		EmittedAt: record.EmittedAt, StoredAt: record.StoredAt, Envelope: record.Body,
	}
	if record.ReplayOf.Sequence > 0 {
		line.ReplayOf = record.ReplayOf.String()
	}
	return line
}

// Lines returns a sink that writes one [Line] for each record.
func Lines(w io.Writer) Sink {
	buffered := bufio.NewWriterSize(w, 64<<10)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false) // the envelope's text stays as it was published
	return &lines{buffered: buffered, encoder: encoder}
}

type lines struct {
	buffered *bufio.Writer
	encoder  *json.Encoder
}

func (l *lines) Take(_ context.Context, record messaging.Record) error {
	err := l.encoder.Encode(LineOf(record))
	if errors.As(err, new(*json.MarshalerError)) {
		return fmt.Errorf("%w: the body is no JSON", ErrUnfit)
	}
	return err
}

func (l *lines) Flush(context.Context) error { return l.buffered.Flush() }

// ErrRun is returned by [CheckRun]. A retry does not help.
var ErrRun = errors.New("want 1 to 64 letters, digits, - or _")

// runEnd ends the run in a message id.
const runEnd = "/"

// CheckRun tells whether a text is fit to be the id of a run.
func CheckRun(run string) error {
	if len(run) < 1 || len(run) > 64 || strings.ContainsFunc(run, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) {
		return fmt.Errorf("%q: %w", run, ErrRun)
	}
	return nil
}

// marked returns a record as it is handed on once more: marked as a replay, and
// under a message id of its own, which is the same each time that the same run
// hands on the same record. Of what the producer wrote nothing changes.
func marked(record messaging.Record, run string) messaging.Record {
	record.ReplayOf, record.Position = record.Position, messaging.Position{}
	record.MessageID = run + runEnd + record.ReplayOf.String()
	record.StoredAt = time.Time{}
	return record
}

// Appender is the end of the log.
type Appender interface {
	// AppendAll stores records in order, see [maintain.Log.AppendAll].
	AppendAll(ctx context.Context, records []messaging.Record) error
	// Check returns the error of a record that can never be appended.
	Check(record messaging.Record) error
}

// IntoLog returns a sink that appends the records to the log, as [marked] returns
// them: none is taken for a repeat of the original, but one that the same run has
// appended before is, for as long as the log remembers ids.
func IntoLog(log Appender, run string) Sink {
	return &intoLog{log: log, run: run, waits: batches{write: log.AppendAll}}
}

type intoLog struct {
	log   Appender
	run   string
	waits batches
}

func (l *intoLog) Take(ctx context.Context, record messaging.Record) error {
	record = marked(record, l.run)
	err := l.log.Check(record)
	if errors.Is(err, eventstore.ErrTooLarge) {
		return fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	if err != nil {
		return err
	}
	return l.waits.Take(ctx, record)
}

func (l *intoLog) Flush(ctx context.Context) error { return l.waits.Flush(ctx) }

// Publisher publishes records beside the log; maintain.Log is one.
type Publisher interface {
	// PublishTo publishes on a NATS subject, see [maintain.Log.PublishTo].
	PublishTo(subject string, record messaging.Record) error
	// ShowTo publishes to the followers of a job, see [maintain.Log.ShowTo].
	ShowTo(room string, record messaging.Record) error
	// Flush returns once the server has what was published.
	Flush(ctx context.Context) error
}

// IntoSubject returns a sink that publishes the records on a NATS subject.
func IntoSubject(log Publisher, subject, run string) Sink {
	return publishing{log, func(record messaging.Record) error { return log.PublishTo(subject, marked(record, run)) }}
}

// IntoFollowers returns a sink that shows the records to the followers of a job.
func IntoFollowers(log Publisher, jobID, run string) Sink {
	return publishing{log, func(record messaging.Record) error { return log.ShowTo(jobID, marked(record, run)) }}
}

type publishing struct {
	log  Publisher
	take func(messaging.Record) error
}

func (p publishing) Take(_ context.Context, record messaging.Record) error { return p.take(record) }

func (p publishing) Flush(ctx context.Context) error { return p.log.Flush(ctx) }

// Batches returns a sink that hands the records to write in batches. A batch that
// failed may be written again by a replay that goes on where this one ended.
func Batches(write func(ctx context.Context, records []messaging.Record) error) Sink {
	return &batches{write: write}
}

type batches struct {
	write func(context.Context, []messaging.Record) error
	waits []messaging.Record
}

func (b *batches) Take(_ context.Context, record messaging.Record) error {
	b.waits = append(b.waits, record)
	return nil
}

func (b *batches) Flush(ctx context.Context) error {
	if len(b.waits) == 0 {
		return nil
	}
	if err := b.write(ctx, b.waits); err != nil {
		return err
	}
	b.waits = b.waits[:0]
	return nil
}

package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

// restoredFromKey is the key, in a restored stream's metadata, of the epoch that
// the backup was taken in.
const restoredFromKey = "novel.restored-from"

// restoredWithKey is the key, in the metadata of the other streams of a restored log, of
// the epoch that the log was given.
const restoredWithKey = "novel.restored-with"

// Archive saves and restores the streams of the log in JetStream's own snapshot
// format: what the `nats` CLI writes and reads. Snapshots are made by the server
// and travel over the connection in chunks.
//
// Source: the JetStream API subjects STREAM.SNAPSHOT and STREAM.RESTORE, as the
// schemas of github.com/nats-io/jsm.go describe them.
type Archive struct{ client *jet.Client }

// New returns an archive on a connection, which stays the caller's, in a JetStream domain, or
// that of the server where domain is empty.
func New(conn *nats.Conn, domain string) (*Archive, error) {
	client, err := jet.New(conn, domain)
	if err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	return With(client), nil
}

// With returns an archive that shares a client.
func With(client *jet.Client) *Archive { return &Archive{client: client} }

// Streams returns the names of the streams that make up the log, that of the events
// first.
func Streams() []string { return slices.Clone(layout.Archived) }

// Streams is the function [Streams].
func (a *Archive) Streams() []string { return Streams() }

// IsAudit reports whether a stream is the record of erasures, which a restore makes
// where it is missing, and never replaces.
func (a *Archive) IsAudit(stream string) bool { return stream == layout.AuditStream }

// ServerVersion returns the version of the server that the archive speaks to.
func (a *Archive) ServerVersion() string { return a.client.Conn.ConnectedServerVersion() }

// DataFile returns the name that the `nats` CLI gives to the data of a snapshot
// by this server: version 2.15 changed the format.
func (a *Archive) DataFile() string {
	var major, minor int
	if _, err := fmt.Sscanf(a.ServerVersion(), "%d.%d", &major, &minor); err == nil && (major < 2 || major == 2 && minor < 15) {
		return "stream.tar.s2"
	}
	return "stream.arc.s2"
}

// Snapshot describes a saved stream; as JSON, with these members, it is the file
// backup.json of the `nats` CLI.
type Snapshot struct {
	// Config is the stream's configuration as the server wrote it.
	Config json.RawMessage `json:"config"`
	// State is what the stream held.
	State json.RawMessage `json:"state"`
}

// Stream returns what the snapshot says of its stream.
func (s Snapshot) Stream() (name, epoch string, state StreamState, err error) {
	var config struct {
		Name     string            `json:"name"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := json.Unmarshal(s.Config, &config); err != nil {
		return "", "", state, fmt.Errorf("%w: the configuration: %w", ErrBadSnapshot, err)
	}
	if err := json.Unmarshal(s.State, &state); err != nil {
		return "", "", state, fmt.Errorf("%w: the state: %w", ErrBadSnapshot, err)
	}
	return config.Name, config.Metadata[streams.EpochKey], state, nil
}

// StreamState is what a stream held when it was saved.
type StreamState struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	First    uint64 `json:"first_seq"`
	Last     uint64 `json:"last_seq"`
	// LastTime is when the newest message was stored; a long time ago without one.
	LastTime time.Time `json:"last_ts"`
}

// snapshotRequest and the answers below are of the JetStream API.
type snapshotRequest struct {
	Deliver     string `json:"deliver_subject"`
	NoConsumers bool   `json:"no_consumers"`
	ChunkBytes  int    `json:"chunk_size"`
	Check       bool   `json:"jsck"`
}

// The pace of a transfer.
const (
	chunkBytes = 128 << 10
	// chunkWait is how long one chunk may take: the server makes the snapshot
	// before it sends the first.
	chunkWait = 2 * time.Minute
	// finishWait is how long a server may take to make a stream of what it got.
	finishWait = time.Hour
	// maxWindow is more than the chunks that a server sends ahead.
	maxWindow = 1024
)

// Save writes the data of a stream's snapshot to w and describes it. Consumers
// are not saved: after a restore they start over. progress, if any, is told the
// bytes written so far. It returns [ErrNoStream] when there is no such stream.
func (a *Archive) Save(ctx context.Context, stream string, w io.Writer, progress func(written int64)) (Snapshot, error) {
	snapshot, err := a.save(ctx, stream, w, progress)
	if err != nil {
		return Snapshot{}, fmt.Errorf("save stream %s: %w", stream, err)
	}
	return snapshot, nil
}

func (a *Archive) save(ctx context.Context, stream string, w io.Writer, progress func(int64)) (Snapshot, error) {
	// In a cluster nobody answers the request for a snapshot of a stream that is missing.
	if _, err := a.state(ctx, stream); err != nil {
		return Snapshot{}, err
	}
	inbox := a.client.Conn.NewRespInbox()
	chunks, err := a.client.Conn.SubscribeSync(inbox)
	if err != nil {
		return Snapshot{}, jet.Unavailable(err)
	}
	defer func() { _ = chunks.Unsubscribe() }() // Tells the server to stop, too; fails only without a connection.
	if err := chunks.SetPendingLimits(maxWindow, -1); err != nil {
		return Snapshot{}, err
	}
	var snapshot Snapshot
	request := snapshotRequest{Deliver: inbox, NoConsumers: true, ChunkBytes: chunkBytes, Check: true}
	if err := a.ask(ctx, "STREAM.SNAPSHOT."+stream, request, &snapshot); err != nil {
		return Snapshot{}, err
	}
	for written := int64(0); ; {
		chunk, err := nextChunk(ctx, chunks)
		if err != nil {
			return Snapshot{}, err
		}
		if status := chunk.Header.Get(jet.HeaderStatus); len(chunk.Data) == 0 {
			if status != "" && status != jet.StatusEndOfBatch {
				return Snapshot{}, fmt.Errorf("%w: %s %s", jet.ErrIncomplete, status, chunk.Header.Get(jet.HeaderDescription))
			}
			return snapshot, nil
		}
		n, err := w.Write(chunk.Data)
		if err != nil {
			return Snapshot{}, err
		}
		if chunk.Reply != "" { // asks for more
			if err := chunk.Respond(nil); err != nil {
				return Snapshot{}, jet.Unavailable(err)
			}
		}
		if written += int64(n); progress != nil {
			progress(written)
		}
	}
}

func nextChunk(ctx context.Context, chunks *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkWait)
	defer cancel()
	chunk, err := chunks.NextMsgWithContext(ctx)
	if err != nil {
		return nil, jet.Unavailable(err)
	}
	return chunk, nil
}

// ask makes a request of the JetStream API and reads the answer into a value.
func (a *Archive) ask(ctx context.Context, subject string, request, answer any) error {
	payload, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, chunkWait)
	defer cancel()
	response, err := a.client.Conn.RequestWithContext(ctx, a.client.API(subject), payload)
	if err != nil {
		return jet.Unavailable(err)
	}
	return readAnswer(response.Data, answer)
}

func readAnswer(data []byte, answer any) error {
	var failure struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(data, &failure); err != nil {
		return fmt.Errorf("read the answer of the server: %w", err)
	}
	switch {
	case failure.Error != nil && failure.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return jet.ErrNoStream
	case failure.Error != nil:
		return jet.Unavailable(failure.Error)
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("read the answer of the server: %w", err)
	}
	return nil
}

// Remove deletes the stream and all that it holds. One that is not there is no
// error.
func (a *Archive) Remove(ctx context.Context, stream string) error {
	err := a.client.JS.DeleteStream(ctx, stream)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("delete stream %s: %w", stream, jet.Unavailable(err))
	}
	return nil
}

// isLogStream reports whether a stream is one of the log.
func isLogStream(name string) bool { return slices.Contains(layout.Archived, name) }

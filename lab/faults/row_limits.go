package faults

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/processes"
)

func limitRows() []Row {
	return []Row{
		{
			Number: 32, Title: "a second gateway and a restart with other limits, the log inside the first", InCI: true,
			System: System{Jobs: 6}, Run: otherLimits,
		},
		{Number: 32, Variant: "server", Title: "a second gateway with other limits, one NATS server", System: System{Nodes: 1, Jobs: 6}, Run: otherLimits},
		{Number: 32, Variant: "cluster", Title: "a second gateway with other limits and one replica, 3 NATS nodes", System: System{Nodes: 3, Jobs: 6}, Run: otherLimits},
	}
}

// otherAge is the STREAM_MAX_AGE of the second gateway. If the log adopted it, events would
// be deleted during the row.
const otherAge = 2 * time.Second

// otherLimits starts a second gateway with other limits on the log, and restarts the first
// one with them. The log must keep its limits, and both gateways and the doctor must report
// the differences.
func otherLimits(ctx context.Context, t *Trial) error {
	stop := t.Load(50)
	defer stop()
	if err := t.Outbox.AwaitMore(ctx, 100); err != nil {
		return err
	}
	js, disconnect, err := t.jetStream()
	if err != nil {
		return err
	}
	defer disconnect()
	names := []string{processes.EventStream, "NOVEL_DEADLETTER", "NOVEL_IDENTITY", "KV_NOVEL_SESSIONS"}
	before, err := describeStreams(ctx, js, names)
	if err != nil {
		return err
	}
	other := map[string]string{
		"STREAM_MAX_AGE": otherAge.String(), "STREAM_DEDUP_WINDOW": "1s", "STREAM_MAX_BYTES": "2097152", "STREAM_REPLICAS": "1",
	}
	differing := []string{"STREAM_MAX_AGE", "STREAM_DEDUP_WINDOW", "STREAM_MAX_BYTES"}
	if t.Lab.Nodes() == 3 {
		differing = append(differing, "STREAM_REPLICAS")
	}
	env := map[string]string{"NATS_URL": t.natsURL(), "DATA_DIR": "", "NATS_LISTEN": "", "NATS_SYNC": ""}
	for name, value := range other {
		env[name] = value
	}
	second, err := t.Lab.Gateway(env)
	if err != nil {
		return err
	}
	if err := second.Start(ctx); err != nil {
		return err
	}
	t.Gateways = append(t.Gateways, second)
	for name, value := range other {
		t.Gateways[0].Set(name, value)
	}
	t.Gateways[0].Kill()
	since := time.Now()
	if err := t.Gateways[0].Start(ctx); err != nil {
		return err
	}
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	// With the age of the second gateway, the server would delete events in this time.
	if err := wait.For(ctx, 2*otherAge); err != nil {
		return err
	}
	after, err := describeStreams(ctx, js, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		if was, is := limitsOf(before[name]), limitsOf(after[name]); !reflect.DeepEqual(was, is) {
			return fmt.Errorf("stream %s was given other limits: %+v became %+v", name, was, is)
		}
	}
	if first := after[processes.EventStream].State.FirstSeq; first != 1 {
		return fmt.Errorf("the log begins at %d: events were deleted", first)
	}
	for _, gateway := range t.Gateways {
		if err := mentions(gateway.LastWords(), differing); err != nil {
			return fmt.Errorf("%s: %w", gateway.Name(), err)
		}
	}
	said, err := t.operate(ctx, 0, other, "doctor")
	if err != nil {
		return err
	}
	if err := mentions(said, differing); err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	t.Note("the log kept its limits; both gateways and the doctor name %s", strings.Join(differing, ", "))
	return nil
}

// limitsOf returns the settings of a stream that a gateway can change.
func limitsOf(info *jetstream.StreamInfo) jetstream.StreamConfig {
	config := info.Config
	config.Metadata = nil // the server counts in it
	return config
}

// mentions returns an error that lists the names which a text does not contain.
func mentions(text string, names []string) error {
	var missing []error
	for _, name := range names {
		if !strings.Contains(text, name) {
			missing = append(missing, fmt.Errorf("%q is not named", name))
		}
	}
	return errors.Join(missing...)
}

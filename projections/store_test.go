package projections_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

func TestConnect(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"mongodb://127.0.0.1:1/novels?w=0":        "novels",
		"mongodb://127.0.0.1:1":                   "test",
		"mongodb://user:secret@127.0.0.1:1/x%2Dy": "x-y",
	} {
		db, err := projections.Connect(uri)
		if err != nil {
			t.Errorf("Connect(%q): %v", uri, err)
			continue
		}
		if db.Name() != want {
			t.Errorf("Connect(%q) has the database %q, want %q", uri, db.Name(), want)
		}
		if err := db.Client().Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, uri := range []string{
		"", "x", "http://127.0.0.1", "mongodb://", "mongodb://user:s3cret@host:port/x", "mongodb://u:s3cret%zz@host/",
		"mongodb://u:s3cret@host/?maxPoolSize=x",
	} {
		_, err := projections.Connect(uri)
		if !errors.Is(err, projections.ErrInvalidURI) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Connect(%q): %v", uri, err)
		}
	}
}

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*projections.Config){
		"MaxBatch":     func(c *projections.Config) { c.MaxBatch = 0 },
		"WriteTimeout": func(c *projections.Config) { c.WriteTimeout = 0 },
		"ReadTimeout":  func(c *projections.Config) { c.ReadTimeout = -time.Second },
	} {
		cfg := projections.DefaultConfig()
		spoil(&cfg)
		db, err := projections.Connect("mongodb://127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		_, err = projections.New(db, cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("New with a wrong %s: %v", field, err)
		}
		_ = db.Client().Disconnect(t.Context())
	}
}

func TestTwoStoresOnOneRegistry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := projections.New(b.db, projections.DefaultConfig(), slog.New(slog.DiscardHandler), b.registry); err == nil {
		t.Error("the second store was given the first one's metrics")
	}
}

// brokenLog cannot be consumed by one of the two.
type brokenLog struct{ *feed }

var errBroken = errors.New("broken")

func (l brokenLog) ConsumerFresh(context.Context, string) (bool, error) { return true, nil }

func (l brokenLog) Consume(
	ctx context.Context, consumer string, maxBatch int, apply func(context.Context, []messaging.Record) error,
) error {
	if consumer == projections.JobHeads {
		return errBroken
	}
	return l.feed.Consume(ctx, consumer, maxBatch, apply)
}

func TestRunReturnsTheLogsError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.Run(t.Context(), brokenLog{newFeed()}); !errors.Is(err, errBroken) {
		t.Errorf("Run: %v, want the log's error", err)
	}
}

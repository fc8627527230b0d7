package eventstore

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Settings are the limits of the event stream that its users choose. The stream has
// them, and not the process: whoever opens an existing log adopts them.
type Settings struct {
	Replicas int `json:"replicas"`
	// MaxBytes is 0 without a bound, and MaxAge without an age.
	MaxBytes        int64         `json:"maxBytes"`
	MaxAge          time.Duration `json:"maxAge"`
	DuplicateWindow time.Duration `json:"duplicateWindow"`
	// SessionTTL and SessionMaxBytes are how long the state of a session stays after it
	// was last saved, and the size of the bucket of states; 0 where they were not asked
	// for, or there is no bucket. [Log.Settings] leaves them 0.
	SessionTTL      time.Duration `json:"sessionTTL,omitempty"`
	SessionMaxBytes int64         `json:"sessionMaxBytes,omitempty"`
}

// Settings returns what the event stream had when it was last asked.
func (l *Log) Settings() Settings {
	if settings := l.settings.Load(); settings != nil {
		return *settings
	}
	return Settings{}
}

func settingsOf(info *jetstream.StreamInfo) *Settings {
	return &Settings{
		Replicas: info.Config.Replicas, MaxBytes: max(info.Config.MaxBytes, 0), MaxAge: info.Config.MaxAge, DuplicateWindow: info.Config.Duplicates,
	}
}

// Differences says how settings differ from those of a process, a line for each.
func (s Settings) Differences(cfg Config) []string {
	var differences []string
	differ := func(name string, stream, process any) {
		if stream != process {
			differences = append(differences, fmt.Sprintf("%s: the log has %v, the settings of this process say %v", name, stream, process))
		}
	}
	differ("STREAM_REPLICAS", s.Replicas, cfg.Replicas)
	differ("STREAM_MAX_BYTES", s.MaxBytes, cfg.MaxBytes)
	differ("STREAM_MAX_AGE", s.MaxAge, cfg.MaxAge)
	differ("STREAM_DEDUP_WINDOW", s.DuplicateWindow, cfg.DuplicateWindow)
	return differences
}

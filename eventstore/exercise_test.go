package eventstore_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// A stream of dead letters that somebody has edited is found before a letter comes.
func TestExerciseOfTheDeadLetters(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"sealed":           func(c *jetstream.StreamConfig) { c.Sealed = true },
		"other subjects":   func(c *jetstream.StreamConfig) { c.Subjects = []string{"foo.bar"} },
		"max message size": func(c *jetstream.StreamConfig) { c.MaxMsgSize = 10 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			const text = "longer than ten bytes"
			if err := b.log.Exercise(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			stream, err := b.js.Stream(t.Context(), "NOVEL_DEADLETTER")
			if err != nil {
				t.Fatal(err)
			}
			config := stream.CachedInfo().Config
			change(&config)
			if _, err := b.js.UpdateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			if err := b.log.Exercise(t.Context(), text); err == nil || !strings.Contains(err.Error(), "NOVEL_DEADLETTER") {
				t.Errorf("exercised: %v", err)
			}
			if stream, err = b.js.Stream(t.Context(), "NOVEL_DEADLETTER"); err != nil || stream.CachedInfo().State.Msgs != 0 {
				t.Errorf("the exercise left something: %v", err)
			}
		})
	}
}

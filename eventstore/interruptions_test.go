package eventstore_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/outage"
)

// A consumer that is removed again and again is one line in the log.
func TestInterruptionsAreOneOutage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var told logged
	log, err := eventstore.Open(t.Context(), b.conn, eventstore.DefaultConfig(), slog.New(slog.NewTextHandler(&told, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	applied, _ := consume(t, log, "p")
	const cuts = 3
	for cut := range cuts {
		b.add(t, record("job", "x"))
		for {
			if got := await(t, "the record", applied); got.Sequence == uint64(cut+1) {
				break
			}
		}
		began := time.Now()
		if err := b.operators().ForgetConsumer(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the consumer again", func() bool {
			_, err := b.log.ConsumerState(t.Context(), "p")
			return err == nil
		})
		if took := time.Since(began); took > outage.Calm/2 {
			t.Skipf("one cut took %s: after %s an outage is over", took, outage.Calm)
		}
	}
	if n := strings.Count(told.String(), "projection consumer is interrupted"); n != 1 {
		t.Errorf("%d cuts are logged %d times:\n%s", cuts, n, told.String())
	}
}

// logged is what a logger has written.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

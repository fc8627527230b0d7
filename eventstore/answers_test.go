package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
)

// answerer stands where the stream was, and answers appends as a test says: for
// what no real server can be made to answer on demand. What real ones do is in
// the tests beside this one.
type answerer struct {
	mu       sync.Mutex // guards the fields below
	attempts []*nats.Msg
	stored   map[string][]string // message ids by subject, in order, each once
	// answer returns what an attempt is answered with, "" for nothing, and whether
	// the record is stored.
	answer func(attempt int) (text string, stored bool)
}

const storedAnswer = `{"stream":"NOVEL_EVENTS","seq":7}`

func refusal(code int) string {
	return fmt.Sprintf(`{"error":{"code":503,"err_code":%d,"description":"for the test"},"stream":"NOVEL_EVENTS","seq":0}`, code)
}

// replaceStream removes the stream of a log, and returns what begins to answer in
// its place.
func replaceStream(t *testing.T, b *bundle, answer func(attempt int) (string, bool)) (a *answerer, begin func()) {
	t.Helper()
	if err := b.js.DeleteStream(t.Context(), "NOVEL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	a = &answerer{stored: make(map[string][]string), answer: answer}
	return a, func() {
		if _, err := b.conn.Subscribe("novel.events.>", a.take); err != nil {
			t.Fatal(err)
		}
	}
}

func (a *answerer) take(msg *nats.Msg) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempts = append(a.attempts, msg)
	text, stored := a.answer(len(a.attempts) - 1)
	if id := msg.Header.Get(jetstream.MsgIDHeader); stored && !slices.Contains(a.stored[msg.Subject], id) {
		a.stored[msg.Subject] = append(a.stored[msg.Subject], id)
	}
	if text != "" {
		_ = msg.Respond([]byte(text))
	}
}

// retriesBy returns how many appends were retried for a cause.
func (b *bundle) retriesBy(t *testing.T, cause string) (count float64) {
	t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "realtime_eventstore_append_retries_total" && m.GetLabel()[0].GetValue() == cause {
				count += m.GetCounter().GetValue()
			}
		}
	}
	return count
}

// Whatever an append is answered with, it is repeated under the same id until the
// log has it, or refused when no repetition can help; and the cause is counted.
func TestAppendByAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers []string // "" for none; then it is stored
		cause   string   // of each repetition
		want    error
	}{
		"none":                               {[]string{""}, "timeout", nil},
		"the same id is being stored, 10158": {[]string{refusal(10158), refusal(10158)}, "duplicate-in-flight", nil},
		"wrong last sequence, 10071":         {[]string{refusal(10071)}, "server", nil},
		"no quorum, 10008":                   {[]string{refusal(10008)}, "server", nil},
		"no space, 10047":                    {[]string{refusal(10047)}, "full", nil},
		"store failed, 10077":                {[]string{refusal(10077)}, "full", nil},
		"too few resources, 10023":           {[]string{refusal(10023)}, "full", nil},
		"an error that nobody knows":         {[]string{refusal(19999)}, "server", nil},
		"a message too large, 10054":         {[]string{refusal(10054)}, "", eventstore.ErrTooLarge},
		"not JSON":                           {[]string{"+OK"}, "other", nil},
		"another stream":                     {[]string{`{"stream":"OTHER","seq":1}`}, "other", nil},
		"a duplicate that cannot be looked at": {
			[]string{`{"stream":"NOVEL_EVENTS","seq":7,"duplicate":true}`}, "", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *eventstore.Config) {
				if c.AckTimeout = patience; name == "none" {
					c.AckTimeout = 200 * time.Millisecond
				}
			})
			a, begin := replaceStream(t, b, func(attempt int) (string, bool) {
				if attempt < len(test.answers) {
					return test.answers[attempt], false
				}
				return storedAnswer, true
			})
			begin()
			receipt, err := b.log.Append(t.Context(), withID("job", "an id", "text"))
			if !errors.Is(err, test.want) || err == nil && (receipt.Sequence != 7 || receipt.Duplicate || receipt.ID != "an id") {
				t.Fatalf("%+v, %v", receipt, err)
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			repeats := len(a.attempts) - 1
			switch want := len(test.answers); {
			case test.want != nil && repeats != 0:
				t.Errorf("%d repetitions of what cannot help", repeats)
			case test.want == nil && repeats < want: // more where a slow machine times out
				t.Errorf("%d repetitions, want %d", repeats, want)
			}
			counted := b.retriesBy(t, test.cause)
			exact := test.cause != "timeout" // which a slow machine adds of its own
			if test.cause != "" && (counted == 0 || exact && counted != float64(repeats)) {
				t.Errorf("%v repetitions of %d are counted as %s", counted, repeats, test.cause)
			}
			for _, msg := range a.attempts {
				if msg.Header.Get(jetstream.MsgIDHeader) != a.attempts[0].Header.Get(jetstream.MsgIDHeader) || !bytes.Equal(msg.Data, a.attempts[0].Data) {
					t.Errorf("an attempt is %v %s, the first was %v %s", msg.Header, msg.Data, a.attempts[0].Header, a.attempts[0].Data)
				}
				// With these the server answers a repetition with 10071 or with
				// "duplicate", by the number of replicas.
				for header := range msg.Header {
					if header == jetstream.ExpectedLastSeqHeader || header == jetstream.ExpectedLastSubjSeqHeader || header == jetstream.ExpectedLastMsgIDHeader {
						t.Errorf("an append expects something of the stream: %s", header)
					}
				}
			}
		})
	}
}

// Where nobody answers at all, an append waits for the stream.
func TestAppendWaitsForResponders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, begin := replaceStream(t, b, func(int) (string, bool) { return storedAnswer, true })
	done := make(chan error, 1)
	go func() { // ends with the answer
		_, err := b.log.Append(t.Context(), record("job", "text"))
		done <- err
	}()
	eventually(t, "a repetition", func() bool { return b.retriesBy(t, "no-responders") > 0 })
	begin()
	if err := await(t, "the append", done); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.attempts) != 1 {
		t.Errorf("%d attempts were heard", len(a.attempts))
	}
}

// Per job nothing overtakes what is being repeated, whatever is answered, and also
// where the record is stored and the answer says otherwise, or is lost.
func TestAppendKeepsOrderWhateverIsAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *eventstore.Config) { c.AckTimeout = 50 * time.Millisecond })
	random := rand.New(rand.NewPCG(1, 2))
	answers := []string{"", refusal(10158), refusal(10071), refusal(10008), refusal(10077), "+OK", `{"stream":"OTHER","seq":1}`}
	a, begin := replaceStream(t, b, func(int) (string, bool) {
		if random.IntN(3) > 0 {
			return storedAnswer, true
		}
		return answers[random.IntN(len(answers))], random.IntN(2) == 0
	})
	begin()
	const jobs, each = 16, 12
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var running sync.WaitGroup
	for j := range jobs {
		running.Go(func() {
			for i := range each {
				r := withID(fmt.Sprint("job-", j), fmt.Sprintf("%d-%02d", j, i), "text")
				if _, err := b.log.Append(ctx, r); err != nil {
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	running.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.stored) != jobs {
		t.Errorf("%d jobs are stored", len(a.stored))
	}
	for subject, ids := range a.stored {
		if len(ids) != each || !slices.IsSorted(ids) {
			t.Errorf("%s has %v", subject, ids)
		}
	}
}

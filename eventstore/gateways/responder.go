package gateways

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/internal/contain"
)

// The pace of presence.
const (
	// PresentInterval is how often a process presents itself.
	PresentInterval = 2 * time.Second
	// presentLease is how long a process counts as present after that.
	presentLease = 7 * time.Second
)

const (
	// questionQueue bounds the questions and presences that wait; more are dropped, so that
	// whoever asks counts this process as missing.
	questionQueue = 1024
	// workers is how many questions are answered at once.
	workers = 4
	// maxErrorBytes bounds the text of an error in an answer.
	maxErrorBytes = 1 << 10
)

// Answerer answers a question. cut says that there is more than the body has. It may be
// called concurrently, and is given as long as whoever asks waits.
type Answerer func(ctx context.Context, question Question) (body any, cut bool, err error)

// Responder answers the questions to one process.
type Responder struct {
	client *jet.Client
	name   string
	// process distinguishes this process from another one with its name.
	process string
	answer  Answerer
	guard   *contain.Guard
	logger  *slog.Logger

	mu    sync.Mutex           // guards everything below
	peers map[string]time.Time // the others: when each presented itself last
	// listens is since when the process receives what others present, without a break, and
	// reconnects how often its connection had returned then.
	listens    time.Time
	reconnects uint64
	// shared says that another process has presented itself with the name of this one, since
	// this one has started.
	shared bool
}

// NewResponder returns the responder of a process. Its name is shown to operators, and has
// to be different from those of all other processes.
func NewResponder(client *jet.Client, name string, answer Answerer, guard *contain.Guard, logger *slog.Logger) (*Responder, error) {
	if !validName(name) {
		return nil, fmt.Errorf("eventstore: gateways: the name %.32q is empty, too long, or not printable", name)
	}
	return &Responder{client: client, name: name, process: rand.Text(), answer: answer, guard: guard, logger: logger, peers: make(map[string]time.Time)}, nil
}

// presence is a process that presents itself, or takes its leave.
type presence struct {
	Gateway string `json:"gateway"`
	Gone    bool   `json:"gone,omitempty"`
	Process string `json:"process,omitempty"`
}

// Run presents the process and answers questions until ctx ends; then it takes its leave
// and returns nil.
func (r *Responder) Run(ctx context.Context) error {
	queue := make(chan *nats.Msg, questionQueue)
	sub, err := r.client.Conn.ChanSubscribe(subjects, queue)
	if err != nil {
		return fmt.Errorf("subscribe to questions: %w", jet.Unavailable(err))
	}
	defer func() { _ = sub.Unsubscribe() }() // Fails only without a connection, and then it is gone.
	questions := make(chan *nats.Msg)
	var working sync.WaitGroup
	defer working.Wait()
	defer close(questions)
	for range workers {
		working.Go(func() { // ends when questions is closed
			_ = r.guard.Persist(ctx, "questions", func() error { r.work(ctx, questions); return nil })
		})
	}
	tick := time.NewTicker(PresentInterval)
	defer tick.Stop()
	connected := r.client.Conn.StatusChanged(nats.CONNECTED)
	defer r.client.Conn.RemoveStatusListener(connected)
	r.mu.Lock()
	r.listens, r.reconnects = time.Now(), r.client.Conn.Stats().Reconnects
	r.mu.Unlock()
	r.present(false)
	defer r.present(true)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.present(false)
		case <-connected: // again: the others may count this process as gone
			r.present(false)
		case msg := <-queue:
			if msg.Subject == presentSubject {
				r.meet(msg.Data, time.Now())
				continue
			}
			select {
			case questions <- msg:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// work answers questions until there are no more.
func (r *Responder) work(ctx context.Context, questions <-chan *nats.Msg) {
	for msg := range questions {
		if err := r.respond(ctx, msg); err != nil {
			r.logger.Debug("a question to the gateways was not answered", "err", err)
		}
	}
}

// present publishes that the process answers, or no longer does.
func (r *Responder) present(gone bool) {
	text, _ := json.Marshal(presence{r.name, gone, r.process}) // always possible
	if err := r.client.Conn.Publish(presentSubject, text); err != nil {
		r.logger.Debug("the process cannot present itself to the others", "err", err)
	}
}

// meet notes the presence of another process. A new one is presented this process at once.
func (r *Responder) meet(data []byte, now time.Time) {
	var other presence
	if json.Unmarshal(data, &other) != nil || !validName(other.Gateway) {
		return
	}
	r.mu.Lock()
	if other.Gateway == r.name {
		first := !r.shared && !other.Gone && other.Process != "" && other.Process != r.process
		r.shared = r.shared || first
		r.mu.Unlock()
		if first {
			r.logger.Warn("another process has the name of this one: operators see one of them only; each gateway needs a name of its own", "gateway", r.name)
		}
		return
	}
	_, known := r.peers[other.Gateway]
	switch {
	case other.Gone:
		delete(r.peers, other.Gateway)
	case known || len(r.peers) < maxGateways:
		r.peers[other.Gateway] = now
	}
	r.mu.Unlock()
	if !known && !other.Gone {
		r.present(false)
	}
}

// settled reports whether the process has listened to the others for long enough, without a
// break, to have the names of all of them.
func (r *Responder) settled() bool {
	reconnects, now := r.client.Conn.Stats().Reconnects, time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if reconnects != r.reconnects {
		r.listens, r.reconnects = now, reconnects
	}
	return now.Sub(r.listens) > PresentInterval
}

// Present returns the names of the processes that count as present, this one among them.
func (r *Responder) Present() []string {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	names := []string{r.name}
	for name, at := range r.peers {
		if now.Sub(at) > presentLease {
			delete(r.peers, name)
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (r *Responder) respond(ctx context.Context, msg *nats.Msg) error {
	if msg.Subject != askSubject || msg.Reply == "" || len(msg.Data) > maxQuestionBytes {
		return fmt.Errorf("message on %s: not a question", msg.Subject)
	}
	ctx, cancel := context.WithTimeout(ctx, AskTimeout)
	defer cancel()
	answer := answerMessage{Gateway: r.name, Present: r.Present(), Settling: !r.settled()}
	var question questionMessage
	if err := json.Unmarshal(msg.Data, &question); err != nil {
		return fmt.Errorf("read the question: %w", err)
	}
	var body json.RawMessage
	var cut bool
	var err error
	if question.From != r.name { // otherwise Ask has the answer
		body, cut, err = r.answered(ctx, question.Question, min(MaxAnswerBytes, int(r.client.Conn.MaxPayload())/2))
	}
	if err != nil {
		answer.Err = errorText(err)
	} else {
		answer.Body, answer.Cut = body, cut
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return msg.Respond(text)
}

// answered returns the answer to a question as JSON, of at most so many bytes.
func (r *Responder) answered(ctx context.Context, question Question, most int) (body json.RawMessage, cut bool, err error) {
	var value any
	// A panic is an error for whoever asks, too.
	err = r.guard.Do("question", func() (err error) {
		value, cut, err = r.answer(ctx, question)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	if body, err = json.Marshal(value); err != nil {
		return nil, false, err
	}
	if len(body) > most {
		return nil, false, fmt.Errorf("the answer has %d bytes, at most %d are possible", len(body), most)
	}
	return body, cut, nil
}

// errorText returns the text of an error in an answer.
func errorText(err error) string {
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxErrorBytes)], "")
}

// Ask asks every process, as [Ask] does. This process answers without NATS. If the others
// cannot be asked, Answers.Unasked says why, and those known as present are missing.
func (r *Responder) Ask(ctx context.Context, question Question) (Answers, error) {
	question.from = r.name
	limited, cancel := context.WithTimeout(ctx, AskTimeout)
	defer cancel()
	own := make(chan Answer, 1)
	go func() { // ends with limited at the latest
		answer := Answer{Gateway: r.name}
		err := r.guard.Do("question", func() (err error) {
			answer.Body, answer.Cut, err = r.answered(limited, question, MaxAnswerBytes)
			return err
		})
		if err != nil {
			answer.Err = errorText(err)
		}
		own <- answer
	}()
	all, err := Ask(ctx, r.client, question)
	switch {
	case ctx.Err() != nil, errors.Is(err, ErrInvalid):
		return Answers{}, err
	case err != nil:
		all = Answers{Missing: r.Present(), Unasked: err}
	}
	all.Items = slices.DeleteFunc(all.Items, func(a Answer) bool { return a.Gateway == r.name })
	all.Missing = slices.DeleteFunc(all.Missing, func(name string) bool { return name == r.name })
	for _, name := range r.Present() {
		answered := slices.ContainsFunc(all.Items, func(a Answer) bool { return a.Gateway == name })
		if name != r.name && !answered && !slices.Contains(all.Missing, name) {
			all.Missing = append(all.Missing, name)
		}
	}
	var answer Answer
	select {
	case answer = <-own: // also if the time is up by now
	default:
		select {
		case answer = <-own:
		case <-limited.Done():
		}
	}
	if answer.Gateway != "" {
		all.Items = append(all.Items, answer)
	} else {
		all.Missing = append(all.Missing, r.name)
	}
	all.sort()
	return all, nil
}

// validName reports whether a process can have a name.
func validName(name string) bool {
	return name != "" && len(name) <= maxNameBytes && !strings.ContainsFunc(name, func(c rune) bool { return c < '!' || c > '~' })
}

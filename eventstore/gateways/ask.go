package gateways

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// The bounds of asking.
const (
	// AskTimeout is how long [Ask] waits for answers.
	AskTimeout = time.Second
	// MaxAnswerBytes bounds the body of one answer. A process whose answer is larger
	// answers with an error instead.
	MaxAnswerBytes = 512 << 10
	// maxQuestionBytes bounds a question.
	maxQuestionBytes = 16 << 10
	// maxGateways bounds the processes that are counted as present, and the answers to one
	// question. maxBytes bounds the answers together; those beyond are missing.
	maxGateways = 256
	maxBytes    = 16 << 20
	// maxNameBytes bounds the name of a process.
	maxNameBytes = 128
)

const (
	askSubject     = layout.GatewaysPrefix + "ask"
	presentSubject = layout.GatewaysPrefix + "present"
	subjects       = layout.GatewaysPrefix + "*"
)

// ErrInvalid is returned for a question that cannot be sent. A retry does not help.
var ErrInvalid = errors.New("invalid question to the gateways")

// Question is what every process is asked.
type Question struct {
	// Kind selects who answers in the process.
	Kind string `json:"kind"`
	// Args are the question's own.
	Args json.RawMessage `json:"args,omitempty"`
	// from is the process that asks with [Responder.Ask]. It has its own answer already.
	from string
}

// questionMessage is a question on the wire.
type questionMessage struct {
	Question
	From string `json:"from,omitempty"`
}

// Answer is the answer of one process.
type Answer struct {
	Gateway string
	// Body is the answer as JSON, nil with an error.
	Body json.RawMessage
	// Cut says that the process has more than its answer has.
	Cut bool
	// Err is why the process could not answer, empty if it could.
	Err string
}

// Answers are the answers of all processes, by name.
type Answers struct {
	Items []Answer
	// Missing names the processes that count as present and did not answer in time.
	Missing []string
	// Unasked is why the processes other than the one that asks may not have the question;
	// nil if they have it. Only [Responder.Ask] sets it.
	Unasked error
}

// answerMessage is an answer on the wire.
type answerMessage struct {
	Gateway string   `json:"gateway"`
	Present []string `json:"present"`
	// Settling says that Present may lack others, because its sender has not listened to them
	// for a [PresentInterval] without a break.
	Settling bool            `json:"settling,omitempty"`
	Cut      bool            `json:"cut,omitempty"`
	Err      string          `json:"error,omitempty"`
	Body     json.RawMessage `json:"body,omitempty"`
}

// Ask asks every process and waits until all that count as present have answered, at most
// for [AskTimeout]. No process at all is no error. Of a process that started a moment ago
// the others may not have the name yet; its answer is left out if it is later than theirs.
// If the NATS server does not confirm the question in that time, Ask returns an error.
func Ask(ctx context.Context, client *jet.Client, question Question) (Answers, error) {
	text, err := json.Marshal(questionMessage{question, question.from})
	if err != nil {
		return Answers{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(text) > maxQuestionBytes {
		return Answers{}, fmt.Errorf("%w: it has %d bytes, at most %d are possible", ErrInvalid, len(text), maxQuestionBytes)
	}
	return jet.Bounded(ctx, AskTimeout, func(ctx context.Context) (Answers, error) { return ask(ctx, client, text) })
}

// ask sends a question, and collects the answers until ctx ends.
func ask(ctx context.Context, client *jet.Client, text []byte) (Answers, error) {
	inbox := client.Conn.NewRespInbox()
	answers, err := client.Conn.SubscribeSync(inbox)
	if err != nil {
		return Answers{}, fmt.Errorf("ask the gateways: %w", jet.Unavailable(err))
	}
	defer func() { _ = answers.Unsubscribe() }()        // Fails only without a connection, and then it is gone.
	_ = answers.SetPendingLimits(maxGateways, maxBytes) // Fails only for a closed subscription.
	if err := client.Conn.PublishRequest(askSubject, inbox, text); err != nil {
		return Answers{}, fmt.Errorf("ask the gateways: %w", jet.Unavailable(err))
	}
	// Without an answer, only this shows whether anybody was asked.
	if err := client.Conn.FlushWithContext(ctx); err != nil {
		return Answers{}, fmt.Errorf("ask the gateways: %w", jet.Unavailable(err))
	}
	var all collected
	for !all.complete() {
		msg, err := answers.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, nats.ErrNoResponders):
			return all.answers(), nil
		case errors.Is(err, nats.ErrSlowConsumer):
			continue
		case err != nil:
			return Answers{}, fmt.Errorf("ask the gateways: %w", jet.Unavailable(err))
		case msg.Header.Get(jet.HeaderStatus) == jet.StatusNoResponders:
			return all.answers(), nil
		}
		all.add(msg.Data)
	}
	return all.answers(), nil
}

// collected are the answers so far. The zero value has none.
type collected struct {
	items   []Answer
	bytes   int
	present map[string]bool // whether it has answered, by name
	settled bool            // some answer names everybody who counts as present
}

// add adds an answer. What is no answer is ignored.
func (c *collected) add(data []byte) {
	var answer answerMessage
	if json.Unmarshal(data, &answer) != nil || !validName(answer.Gateway) {
		return
	}
	if c.present == nil {
		c.present = make(map[string]bool)
	}
	for _, name := range append(answer.Present, answer.Gateway) {
		if _, known := c.present[name]; !known && validName(name) && len(c.present) < maxGateways {
			c.present[name] = false
		}
	}
	c.settled = c.settled || !answer.Settling
	answered, counted := c.present[answer.Gateway]
	if answered || !counted || c.bytes+len(answer.Body) > maxBytes {
		return
	}
	c.present[answer.Gateway] = true
	c.bytes += len(answer.Body)
	c.items = append(c.items, Answer{Gateway: answer.Gateway, Body: answer.Body, Cut: answer.Cut, Err: answer.Err})
}

// complete reports whether everybody who counts as present has answered, and somebody has
// the names of all of them.
func (c *collected) complete() bool { return c.settled && len(c.items) == len(c.present) }

func (c *collected) answers() Answers {
	all := Answers{Items: c.items}
	for name, answered := range c.present {
		if !answered {
			all.Missing = append(all.Missing, name)
		}
	}
	all.sort()
	return all
}

// sort orders the answers and what is missing by name.
func (a *Answers) sort() {
	slices.Sort(a.Missing)
	slices.SortFunc(a.Items, func(a, b Answer) int { return strings.Compare(a.Gateway, b.Gateway) })
}

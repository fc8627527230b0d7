package admin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/letswriteabook/realtime/eventstore/gateways"
)

// Coverage says which processes an answer is of.
type Coverage struct {
	// Gateways are the names of the processes that answered.
	Gateways []string `json:"gateways"`
	// Missing are those whose part is missing or incomplete. With any of them the answer is
	// partial.
	Missing []MissingGateway `json:"missing"`
}

// MissingGateway is a process whose part of an answer is missing or incomplete.
type MissingGateway struct {
	Gateway string `json:"gateway"`
	// Reason is no-answer, cut (it has more than it may answer) or failed, and Error says
	// why it failed.
	Reason string `json:"reason"`
	Error  string `json:"error,omitempty"`
}

// The reasons of a [MissingGateway].
const (
	missingNoAnswer = "no-answer"
	missingCut      = "cut"
	missingFailed   = "failed"
)

// otherGateways is the name of a [MissingGateway] that stands for all other processes: this
// one could not ask them, and may not have the names of all.
const otherGateways = "others"

// askAll asks every process, and returns their answers in the order of Coverage.Gateways.
func askAll[B any](ctx context.Context, a *API, kind string, args any) (bodies []B, coverage Coverage, err error) {
	coverage = Coverage{Gateways: []string{}, Missing: []MissingGateway{}}
	text, err := json.Marshal(args)
	if err != nil {
		return nil, coverage, fmt.Errorf("ask the gateways: %w", err)
	}
	answers, err := a.Ask(ctx, gateways.Question{Kind: kind, Args: text})
	if err != nil {
		return nil, coverage, err
	}
	for _, answer := range answers.Items {
		var body B
		if answer.Err == "" {
			if err := json.Unmarshal(answer.Body, &body); err != nil {
				answer.Err = "the answer cannot be read"
			}
		}
		if answer.Err != "" {
			coverage.Missing = append(coverage.Missing, MissingGateway{answer.Gateway, missingFailed, answer.Err})
			continue
		}
		if answer.Cut {
			coverage.Missing = append(coverage.Missing, MissingGateway{Gateway: answer.Gateway, Reason: missingCut})
		}
		coverage.Gateways = append(coverage.Gateways, answer.Gateway)
		bodies = append(bodies, body)
	}
	for _, name := range answers.Missing {
		coverage.Missing = append(coverage.Missing, MissingGateway{Gateway: name, Reason: missingNoAnswer})
	}
	if err := answers.Unasked; err != nil {
		coverage.Missing = append(coverage.Missing, MissingGateway{otherGateways, missingFailed, err.Error()})
	}
	return bodies, coverage, nil
}

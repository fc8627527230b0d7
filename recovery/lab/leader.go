package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// EventStream is the stream of the log, whose leader the drills look for.
const EventStream = "NOVEL_EVENTS"

// ErrNoLeader is returned when no node leads the stream. A retry helps after an
// election, if a majority of the nodes runs.
var ErrNoLeader = errors.New("no node leads the stream")

// Leader returns the number of the node that leads the log, which is what that
// node says of itself: the others may believe in an older one.
func (l *Lab) Leader(ctx context.Context) (int, error) {
	for i, n := range l.nodes {
		if !n.Running() {
			continue
		}
		leads, err := n.leads(ctx, EventStream)
		if err == nil && leads {
			return i, nil
		}
	}
	return 0, ErrNoLeader
}

// AwaitLeader waits until a node leads the log.
func (l *Lab) AwaitLeader(ctx context.Context) (int, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		leader, err := l.Leader(ctx)
		if err == nil {
			return leader, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for a leader: %w", ctx.Err())
		}
	}
}

// leads asks the node's monitoring page.
func (n *node) leads(ctx context.Context, stream string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	page, err := get(ctx, "http://"+n.monitor+"/jsz?streams=true")
	if err != nil {
		return false, err
	}
	var status struct {
		Accounts []struct {
			Streams []struct {
				Name    string `json:"name"`
				Cluster struct {
					Leader string `json:"leader"`
				} `json:"cluster"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(page, &status); err != nil {
		return false, fmt.Errorf("read the page of %s: %w", n.name, err)
	}
	for _, account := range status.Accounts {
		for _, s := range account.Streams {
			if s.Name == stream {
				return s.Cluster.Leader == n.name, nil
			}
		}
	}
	return false, nil
}

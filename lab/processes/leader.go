package processes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// EventStream is the stream of the log, whose leader the drills look for.
const EventStream = "NOVEL_EVENTS"

// errNoLeader is returned when no node leads the stream. A retry helps after an
// election, if a majority of the nodes runs.
var errNoLeader = errors.New("no node leads the stream")

// Leader returns the number of the node that leads the log according to that node itself,
// because the others may still report an earlier leader.
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
	return 0, errNoLeader
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

// AwaitWhole waits until the node that leads the log reports that all copies are up to
// date.
func (l *Lab) AwaitWhole(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if leader, err := l.Leader(ctx); err == nil {
			stream, err := l.nodes[leader].stream(ctx, EventStream)
			if err == nil && stream.whole(l.cfg.Replicas) {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until every copy of the log is up to date: %w", ctx.Err())
		}
	}
}

// leads asks the node's monitoring page whether the node leads the stream.
func (n *node) leads(ctx context.Context, name string) (bool, error) {
	stream, err := n.stream(ctx, name)
	return stream.Name == name && stream.Cluster.Leader == n.name, err
}

// streamDetail is the description of a stream on a node's monitoring page.
type streamDetail struct {
	Name    string `json:"name"`
	Cluster struct {
		Leader   string `json:"leader"`
		Replicas []struct {
			Current bool   `json:"current"`
			Lag     uint64 `json:"lag"`
		} `json:"replicas"`
	} `json:"cluster"`
}

// whole reports whether all other copies exist and are up to date.
func (s streamDetail) whole(copies int) bool {
	if len(s.Cluster.Replicas) != copies-1 {
		return false
	}
	for _, replica := range s.Cluster.Replicas {
		if !replica.Current || replica.Lag > 0 {
			return false
		}
	}
	return true
}

// stream returns the node's description of a stream, without a name if the node does not
// have the stream.
func (n *node) stream(ctx context.Context, name string) (streamDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	page, err := get(ctx, "http://"+n.monitor+"/jsz?streams=true")
	if err != nil {
		return streamDetail{}, err
	}
	var status struct {
		Accounts []struct {
			Streams []streamDetail `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(page, &status); err != nil {
		return streamDetail{}, fmt.Errorf("read the page of %s: %w", n.name, err)
	}
	for _, account := range status.Accounts {
		for _, stream := range account.Streams {
			if stream.Name == name {
				return stream, nil
			}
		}
	}
	return streamDetail{}, nil
}

// Monitor returns the address of a node's monitoring pages.
func (l *Lab) Monitor(n int) string { return "http://" + l.nodes[n].monitor }

package maintain

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// JobSize is one job, and how many records of it the log has.
type JobSize struct {
	JobID  string `json:"jobId"`
	Events uint64 `json:"events"`
}

// maxJobPages bounds the answers of the server that are read for one list of jobs: each
// has at most 100,000 subjects, some megabytes.
const maxJobPages = 10

// Jobs returns at most limit jobs whose jobId begins with prefix and is greater than
// after, by jobId, and whether there are more. The server has no index by jobId, so that
// all subjects are read, maxJobPages answers at most: partial says that there were more.
// One list is made at a time.
func (l *Log) Jobs(ctx context.Context, prefix, after string, limit int) (jobs []JobSize, more, partial bool, err error) {
	select {
	case l.listing <- struct{}{}:
		defer func() { <-l.listing }()
	case <-ctx.Done():
		return nil, false, false, ctx.Err()
	}
	for offset, pages := 0, 0; ; pages++ {
		if pages == maxJobPages {
			return jobs, more, true, nil
		}
		subjects, total, err := l.subjects(ctx, offset)
		if err != nil {
			return nil, false, false, fmt.Errorf("list the jobs: %w", err)
		}
		for subject, events := range subjects {
			jobID, err := layout.JobOf(subject)
			if err == nil && jobID > after && strings.HasPrefix(jobID, prefix) {
				jobs = append(jobs, JobSize{JobID: jobID, Events: events})
			}
		}
		slices.SortFunc(jobs, func(a, b JobSize) int { return strings.Compare(a.JobID, b.JobID) })
		if len(jobs) > limit {
			jobs, more = slices.Clip(jobs[:limit]), true
		}
		if offset += len(subjects); len(subjects) == 0 || offset >= total {
			return jobs, more, false, nil
		}
	}
}

// subjects asks the leader of the event stream for its subjects from an offset on, with the
// number of messages of each, and for the number of all subjects.
func (l *Log) subjects(ctx context.Context, offset int) (subjects map[string]uint64, total int, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	request, err := json.Marshal(map[string]any{"subjects_filter": layout.EventPrefix + ">", "offset": offset})
	if err != nil {
		return nil, 0, err
	}
	answer, err := l.client.Conn.RequestWithContext(ctx, l.client.API("STREAM.INFO."+layout.EventStream), request)
	if err != nil {
		return nil, 0, jet.Unavailable(err)
	}
	var info struct {
		Error *jetstream.APIError `json:"error"`
		Total int                 `json:"total"`
		State struct {
			Subjects map[string]uint64 `json:"subjects"`
		} `json:"state"`
	}
	if err := json.Unmarshal(answer.Data, &info); err != nil {
		return nil, 0, fmt.Errorf("read the description of stream %s: %w", layout.EventStream, err)
	}
	if info.Error != nil {
		return nil, 0, info.Error
	}
	return info.State.Subjects, info.Total, nil
}

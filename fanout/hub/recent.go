package hub

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// CatchUpReport is the last catch-up of one job, as the metrics page shows it.
type CatchUpReport struct {
	JobID          string `json:"jobId"`
	ReplayedEvents int    `json:"replayedEvents"`
	// ReplaySource is "events", "aggregate" (a synthetic status) or "none".
	ReplaySource     string `json:"replaySource"`
	ReplayDurationMs int64  `json:"replayDurationMs"`
	RecordedAt       string `json:"recordedAt"`
}

// recentJobs bounds how many jobs' last catch-ups are kept: the newest.
const recentJobs = 200

// recentCatchUps keeps the last catch-up of the jobs that had one most recently.
type recentCatchUps struct {
	mu     sync.Mutex // guards the fields below
	byJob  map[string]CatchUpReport
	newest []string // jobs in the order of their reports, the newest last
}

func newRecentCatchUps() *recentCatchUps {
	return &recentCatchUps{byJob: make(map[string]CatchUpReport)}
}

func (r *recentCatchUps) add(report CatchUpReport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.byJob[report.JobID]; known {
		r.drop(report.JobID)
	} else if len(r.newest) == recentJobs {
		delete(r.byJob, r.newest[0])
		r.newest = append(r.newest[:0], r.newest[1:]...)
	}
	r.byJob[report.JobID] = report
	r.newest = append(r.newest, report.JobID)
}

// forget drops the report of a job.
func (r *recentCatchUps) forget(jobID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.byJob[jobID]; known {
		delete(r.byJob, jobID)
		r.drop(jobID)
	}
}

// drop removes a job from newest. The mutex is held.
func (r *recentCatchUps) drop(jobID string) {
	r.newest = slices.DeleteFunc(r.newest, func(other string) bool { return other == jobID })
}

func (r *recentCatchUps) all() map[string]CatchUpReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.byJob)
}

// RecentCatchUps returns the last catch-up of the 200 jobs that had one most recently.
func (h *Hub) RecentCatchUps() map[string]CatchUpReport { return h.recent.all() }

// recordCatchUp counts a subscription that has just reached the head.
func (h *Hub) recordCatchUp(sub *Subscription) {
	account, now := sub.catchUp, time.Now()
	took := now.Sub(sub.start.Asked)
	h.metrics.catchUps.WithLabelValues(string(account.source)).Inc()
	h.metrics.duration.WithLabelValues(string(account.source)).Observe(took.Seconds())
	source := "events"
	switch account.source {
	case messaging.SourceNone, messaging.SourceAggregate:
		source = string(account.source)
	}
	h.recent.add(CatchUpReport{
		JobID: sub.room.jobID, ReplayedEvents: account.replayed, ReplaySource: source,
		ReplayDurationMs: took.Milliseconds(), RecordedAt: messaging.FormatTime(now),
	})
}

package gateway

import "iter"

// follows are a client's subscriptions by job. Most clients have one, which takes no map.
type follows struct {
	jobID string // of only
	only  *follow
	more  map[string]*follow // has all once there were two; nil before
}

// get returns the subscription to a job, or nil.
func (f *follows) get(jobID string) *follow {
	if f.more != nil {
		return f.more[jobID]
	}
	if f.jobID == jobID {
		return f.only
	}
	return nil
}

// set adds a subscription, or replaces the one to the same job.
func (f *follows) set(jobID string, followed *follow) {
	switch {
	case f.more != nil:
		f.more[jobID] = followed
	case f.only == nil || f.jobID == jobID:
		f.jobID, f.only = jobID, followed
	default:
		f.more = map[string]*follow{f.jobID: f.only, jobID: followed}
		f.jobID, f.only = "", nil
	}
}

// remove removes the subscription to a job, if there is one.
func (f *follows) remove(jobID string) {
	delete(f.more, jobID)
	if f.jobID == jobID {
		f.jobID, f.only = "", nil
	}
}

func (f *follows) count() int {
	if f.only != nil {
		return 1
	}
	return len(f.more)
}

// all iterates over the subscriptions, which may be removed meanwhile.
func (f *follows) all() iter.Seq2[string, *follow] {
	return func(yield func(string, *follow) bool) {
		if f.only != nil {
			yield(f.jobID, f.only)
			return
		}
		for jobID, followed := range f.more {
			if !yield(jobID, followed) {
				return
			}
		}
	}
}

package oracle

import (
	"errors"
	"fmt"
	"time"
)

// maxPaceSteps bounds a [Pace]: later events count in the last step.
const maxPaceSteps = 100_000

// Pace has the number of events in each step of time.
type Pace struct {
	Began time.Time
	Step  time.Duration
	// Attempted, Acknowledged and Delivered are counts by step, with the same number of
	// steps. An event counts as attempted and acknowledged once, at its first line;
	// Delivered counts all deliveries to one client, including repetitions.
	Attempted, Acknowledged, Delivered []int
}

// ReadPace reads A, K and the file of one client, and ignores lines before began. The step
// is at least a millisecond.
func ReadPace(dir, client string, began time.Time, step time.Duration) (Pace, error) {
	pace := Pace{Began: began, Step: step}
	if step < time.Millisecond {
		return pace, errors.New("pace: the step is shorter than a millisecond")
	}
	for _, source := range []struct {
		file   string
		counts *[]int
		once   bool
	}{
		{attemptedFile, &pace.Attempted, true},
		{acknowledgedFile, &pace.Acknowledged, true},
		{clientPrefix + client, &pace.Delivered, false},
	} {
		entries, err := readFile(dir, source.file)
		if err != nil {
			return pace, fmt.Errorf("pace: %w", err)
		}
		seen := map[string]bool{}
		for _, e := range entries {
			after := e.At - began.UnixMilli()
			if e.Follows || after < 0 || source.once && seen[e.ID] {
				continue
			}
			if source.once {
				seen[e.ID] = true
			}
			at := int(min(after/step.Milliseconds(), maxPaceSteps-1))
			for len(*source.counts) <= at {
				*source.counts = append(*source.counts, 0)
			}
			(*source.counts)[at]++
		}
	}
	longest := max(len(pace.Attempted), len(pace.Acknowledged), len(pace.Delivered))
	for _, counts := range []*[]int{&pace.Attempted, &pace.Acknowledged, &pace.Delivered} {
		for len(*counts) < longest {
			*counts = append(*counts, 0)
		}
	}
	return pace, nil
}

package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrPage is matched when a metrics page is not what the contract says.
var ErrPage = errors.New("metrics page breaks the contract")

// Page is the metrics page of one gateway, or of several together.
type Page struct {
	TotalConnections          int                `json:"totalConnections"`
	TotalSubscriptions        int                `json:"totalSubscriptions"`
	ConnectionsPerOrigin      map[string]int     `json:"connectionsPerOrigin"`
	SubscribersPerJob         map[string]int     `json:"subscribersPerJob"`
	IdleClients               int                `json:"idleClients"`
	MaxConnections            int                `json:"maxConnections"`
	MaxConnectionsPerOrigin   int                `json:"maxConnectionsPerOrigin"`
	MaxSubscriptionsPerClient int                `json:"maxSubscriptionsPerClient"`
	IdleTimeoutMs             int                `json:"idleTimeoutMs"`
	LastCatchUp               map[string]CatchUp `json:"lastCatchUp"`

	// raw is every key of the page, as it came; of several pages the sum.
	raw map[string]any
}

// CatchUp is the last catch-up of one job.
type CatchUp struct {
	JobID            string `json:"jobId"`
	ReplayedEvents   int    `json:"replayedEvents"`
	ReplaySource     string `json:"replaySource"`
	ReplayDurationMs int    `json:"replayDurationMs"`
	RecordedAt       string `json:"recordedAt"`
}

// required are the keys that every page has.
var required = []string{
	"totalConnections", "totalSubscriptions", "connectionsPerOrigin", "subscribersPerJob", "idleClients",
	"maxConnections", "maxConnectionsPerOrigin", "maxSubscriptionsPerClient", "idleTimeoutMs", "lastCatchUp",
}

// UnmarshalJSON reads a page, and refuses one without a required key or with a
// count that is no whole number of 0 or more.
func (p *Page) UnmarshalJSON(text []byte) error {
	type plain Page
	var page plain
	if err := json.Unmarshal(text, &page.raw); err != nil {
		return fmt.Errorf("%w: %w", ErrPage, err)
	}
	for _, key := range required {
		if _, has := page.raw[key]; !has {
			return fmt.Errorf("%w: it has no %s", ErrPage, key)
		}
	}
	if err := json.Unmarshal(text, &page); err != nil {
		return fmt.Errorf("%w: %w", ErrPage, err)
	}
	for key, value := range page.raw {
		if number, is := value.(float64); is && (number < 0 || number != math.Trunc(number)) {
			return fmt.Errorf("%w: %s is %v", ErrPage, key, number)
		}
	}
	*p = Page(page)
	return nil
}

// MarshalJSON returns every key of the page.
func (p Page) MarshalJSON() ([]byte, error) { return json.Marshal(p.raw) }

// Sum adds the counts of pages up; limits are those of the first, and of a job's
// catch-ups the latest counts.
func Sum(pages []Page) (Page, error) {
	if len(pages) == 1 {
		return pages[0], nil
	}
	all := map[string]any{}
	for _, page := range pages {
		all = add(all, page.raw).(map[string]any)
	}
	if len(pages) > 0 {
		for _, limit := range []string{"maxConnections", "maxConnectionsPerOrigin", "maxSubscriptionsPerClient", "idleTimeoutMs"} {
			all[limit] = pages[0].raw[limit]
		}
		all["lastCatchUp"] = latest(pages)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return Page{}, err
	}
	var sum Page
	return sum, json.Unmarshal(text, &sum)
}

// latest returns each job's latest catch-up, with every key of it.
func latest(pages []Page) map[string]any {
	catchUps, recorded := map[string]any{}, map[string]time.Time{}
	for _, page := range pages {
		raw, _ := page.raw["lastCatchUp"].(map[string]any)
		for job, catchUp := range page.LastCatchUp {
			at, _ := time.Parse(time.RFC3339, catchUp.RecordedAt) // one without a time is older than any
			if _, known := recorded[job]; !known || at.After(recorded[job]) {
				catchUps[job], recorded[job] = raw[job], at
			}
		}
	}
	return catchUps
}

// add adds numbers up, also inside of objects; of anything else the first counts.
func add(a, b any) any {
	switch b := b.(type) {
	case float64:
		if a, is := a.(float64); is {
			return a + b
		}
	case map[string]any:
		a, is := a.(map[string]any)
		if !is {
			return add(map[string]any{}, b)
		}
		for key, value := range b {
			a[key] = add(a[key], value)
		}
		return a
	}
	if a == nil {
		return b
	}
	return a
}

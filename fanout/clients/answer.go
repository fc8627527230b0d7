package clients

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The kinds of questions.
const (
	QuestionList      = "clients.list"
	QuestionEnded     = "clients.ended"
	QuestionStory     = "clients.story"
	QuestionFollowers = "clients.followers"
	QuestionClose     = "clients.close"
)

// ErrQuestion is returned for a question that cannot be read. A retry does not help.
var ErrQuestion = errors.New("the question cannot be read")

// Source has the connected clients of one gateway. Its methods may be called concurrently
// and must not block.
type Source interface {
	// Clients calls each for every connected client that a filter selects, in any order.
	Clients(filter Filter, each func(Client))
	// Followers calls each for every subscription to a job, in any order.
	Followers(jobID string, each func(Follower))
	// Ended calls each for every recorded client that has gone from since on and before
	// until, and that a filter selects apart from its job, in any order. incomplete says
	// that some of that time are no longer recorded.
	Ended(since, until time.Time, filter Filter, each func(Ended)) (incomplete bool)
	// Stories returns what is known of the clients with an id: those that are connected,
	// and those that have gone and are still recorded.
	Stories(id string) []Story
	// Close disconnects clients, and returns how many.
	Close(which Closing) int
}

// ListQuestion asks for a page of clients, or of the followers of Filter.JobID.
type ListQuestion struct {
	Filter Filter `json:"filter"`
	// After is the Place after which the page begins.
	After string `json:"after,omitempty"`
	Limit int    `json:"limit"`
}

// EndedQuestion asks for a page of the clients that have gone from Since on and before Until.
type EndedQuestion struct {
	ListQuestion
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// StoryQuestion asks for one client.
type StoryQuestion struct {
	ID string `json:"id"`
}

// Page is the rows of one gateway, ordered by their Place. More says that it has further
// ones.
type Page[R any] struct {
	Items []R  `json:"items"`
	More  bool `json:"more"`
}

// Closed counts the clients that one gateway has disconnected.
type Closed struct {
	Clients int `json:"clients"`
}

// Answer answers a question about the clients of the gateway with a name. cut says that
// there is more than the answer has. The error is [ErrQuestion] for a question that cannot be
// read, or that is of another kind than those of this package.
func Answer(source Source, gateway, kind string, args json.RawMessage) (body any, cut bool, err error) {
	switch kind {
	case QuestionList, QuestionFollowers:
		var question ListQuestion
		if err := read(args, &question); err != nil {
			return nil, false, err
		}
		if kind == QuestionFollowers {
			page := page[Follower]{gateway: gateway, question: question}
			source.Followers(question.Filter.JobID, func(row Follower) { row.Gateway = gateway; page.add(row, row.Place()) })
			return page.cut(), false, nil
		}
		page := page[Client]{gateway: gateway, question: question}
		source.Clients(question.Filter, func(row Client) { row.Gateway = gateway; page.add(row, row.Place()) })
		return page.cut(), false, nil
	case QuestionEnded:
		var question EndedQuestion
		if err := read(args, &question); err != nil {
			return nil, false, err
		}
		page := page[Ended]{gateway: gateway, question: question.ListQuestion}
		cut = source.Ended(question.Since, question.Until, question.Filter, func(row Ended) { row.Gateway = gateway; page.add(row, row.Place()) })
		return page.cut(), cut, nil
	case QuestionStory:
		var question StoryQuestion
		if err := read(args, &question); err != nil {
			return nil, false, err
		}
		stories := source.Stories(question.ID)
		if cut = len(stories) > maxStories; cut {
			stories = stories[len(stories)-maxStories:]
		}
		for i := range stories {
			stories[i].Gateway = gateway
			slices.SortFunc(stories[i].Follows, func(a, b Subscription) int { return cmp.Compare(a.JobID, b.JobID) })
			stories[i].Follows = first(stories[i].Follows)
		}
		newest, left := Newest(stories)
		return newest, cut || left, nil
	case QuestionClose:
		var which Closing
		if err := read(args, &which); err != nil {
			return nil, false, err
		}
		if !which.Valid() {
			return nil, false, fmt.Errorf("%w: want an id, a subject or a job", ErrQuestion)
		}
		return Closed{source.Close(which)}, false, nil
	}
	return nil, false, fmt.Errorf("%w: its kind is %.64q", ErrQuestion, kind)
}

func read(args json.RawMessage, into any) error {
	if err := json.Unmarshal(args, into); err != nil {
		return fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	return nil
}

// page collects the first rows after a place. It holds twice the limit at most.
type page[R any] struct {
	gateway  string
	question ListQuestion
	rows     []placed[R]
	more     bool
}

type placed[R any] struct {
	row   R
	place string
}

func (p *page[R]) limit() int { return min(max(p.question.Limit, 1), MaxRows) }

func (p *page[R]) add(row R, place string) {
	if place <= p.question.After {
		return
	}
	p.rows = append(p.rows, placed[R]{row, place})
	if len(p.rows) == 2*p.limit() {
		p.shorten()
	}
}

// shorten keeps the first rows.
func (p *page[R]) shorten() {
	slices.SortFunc(p.rows, func(a, b placed[R]) int { return cmp.Compare(a.place, b.place) })
	if len(p.rows) > p.limit() {
		p.rows, p.more = p.rows[:p.limit()], true
	}
}

// cut returns the page, which ends with the row that reaches maxPageBytes as JSON.
func (p *page[R]) cut() Page[R] {
	p.shorten()
	page := Page[R]{Items: make([]R, 0, len(p.rows)), More: p.more}
	size := 0
	for _, row := range p.rows {
		if size >= maxPageBytes {
			page.More = true
			break
		}
		page.Items = append(page.Items, row.row)
		size += jsonBytes(row.row)
	}
	return page
}

// jsonBytes is what a value takes in an answer, with a comma. The escapes of JSON make a text
// up to six times as long as it is in memory.
func jsonBytes(value any) int {
	encoded, _ := json.Marshal(value) // the values of this package and of recorder always marshal
	return len(encoded) + 1
}

// Newest returns as many of the last values as an answer has room for, and whether others
// are left out.
func Newest[V any](values []V) (newest []V, cut bool) {
	size := 0
	for i := len(values) - 1; i >= 0; i-- {
		if size += jsonBytes(values[i]); size > maxPageBytes {
			return values[i+1:], true
		}
	}
	return values, false
}

// first returns as many of the first subscriptions as one story has room for.
func first(follows []Subscription) []Subscription {
	size := 0
	for i, follow := range follows {
		if size += jsonBytes(follow); i == maxSubscriptions || size > maxFollowsBytes {
			return follows[:i]
		}
	}
	return follows
}

// Merge merges the pages of several gateways into one with at most limit rows, and returns
// the Place after which the next page begins, empty on the last one.
func Merge[R interface{ Place() string }](pages []Page[R], limit int) (rows []R, next string) {
	rows = []R{}
	end := "" // the rows up to it are complete: no gateway has further ones there
	for _, page := range pages {
		rows = append(rows, page.Items...)
		if page.More && len(page.Items) > 0 {
			if last := page.Items[len(page.Items)-1].Place(); end == "" || last < end {
				end = last
			}
		}
	}
	slices.SortFunc(rows, func(a, b R) int { return cmp.Compare(a.Place(), b.Place()) })
	kept := len(rows)
	if end != "" {
		kept, _ = slices.BinarySearchFunc(rows, end, func(row R, end string) int { return cmp.Compare(row.Place(), end) })
		kept++ // the row at end itself
	}
	kept = min(kept, limit, len(rows))
	if kept > 0 && (kept < len(rows) || end != "") {
		next = rows[kept-1].Place()
	}
	return rows[:kept], next
}

package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/deadletters"
)

// LetterPage is a page of dead letters.
type LetterPage struct {
	Items []LetterHead `json:"items"`
	// Next is the after of the next page; 0 on the last one. A page may be empty and not
	// the last: so many letters were looked at.
	Next uint64 `json:"next"`
}

// LetterHead is one dead letter without its bytes.
type LetterHead struct {
	Sequence  uint64    `json:"sequence"`
	Reason    string    `json:"reason"`
	Detail    string    `json:"detail"`
	JobID     string    `json:"jobId,omitempty"`
	At        time.Time `json:"at"`
	BodyBytes int       `json:"bodyBytes"`
}

// Letter is one dead letter.
type Letter struct {
	LetterHead LetterHead `json:"letter"`
	// Body are the bytes that were published, or their beginning.
	Body []byte `json:"body"`
}

func headOf(letter maintain.Letter) LetterHead {
	return LetterHead{
		Sequence: letter.Sequence, Reason: string(letter.Reason), Detail: letter.Detail, JobID: deadletters.JobOf(letter.Body), At: letter.At, BodyBytes: letter.BodyBytes,
	}
}

// lookedAt bounds how many letters are read for one page, of which a filter may leave out
// most.
const lookedAt = 5000

func (a *API) listLetters(ctx context.Context, c *call) (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	filter := deadletters.Filter{JobID: c.text("jobId")}
	if reason := c.text("reason"); reason != "" {
		filter.Reasons = []messaging.Reason{messaging.Reason(reason)}
	}
	if err := filter.Validate(); err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid", "%v", err)
	}
	after, _ := c.number("after")
	page := LetterPage{Items: []LetterHead{}}
	for looked := 0; ; {
		letters, err := a.Log.DeadLetters(ctx, after, defaultRows)
		if err != nil {
			return nil, err
		}
		if len(letters) == 0 {
			return page, nil
		}
		for _, letter := range letters {
			after = letter.Sequence
			if filter.Lets(letter) {
				page.Items = append(page.Items, headOf(letter))
			}
			if looked++; len(page.Items) == limit || looked == lookedAt {
				page.Next = after
				return page, nil
			}
		}
	}
}

func (a *API) getLetter(ctx context.Context, c *call) (any, error) {
	sequence, _ := c.number("sequence")
	var found *Letter
	err := deadletters.Each(ctx, a.Log, deadletters.Filter{Sequences: []uint64{sequence}, Limit: 1}, func(letter maintain.Letter) error {
		found = &Letter{LetterHead: headOf(letter), Body: letter.Body}
		return nil
	})
	if err == nil && found == nil {
		err = refuse(http.StatusNotFound, "not-found", "there is no letter %d", sequence)
	}
	return found, err
}

// maxLetters bounds the letters of one change.
const maxLetters = 200

// LetterRequest names the letters of a change.
type LetterRequest struct {
	Sequences []uint64 `json:"sequences"`
	// DryRun changes nothing and says what would be.
	DryRun bool `json:"dryRun,omitempty"`
}

// RedriveResult is what became of each letter.
type RedriveResult struct {
	Items []deadletters.Outcome `json:"items"`
	// Missing are the sequences of which there is no letter.
	Missing []uint64 `json:"missing,omitempty"`
}

// summary implements brief: the sequences of the letters, without the reasons of refusals.
func (r RedriveResult) summary() any {
	type summary struct {
		Stored     []uint64 `json:"stored,omitempty"`
		Duplicates []uint64 `json:"duplicates,omitempty"`
		Refused    []uint64 `json:"refused,omitempty"`
		Missing    []uint64 `json:"missing,omitempty"`
	}
	s := summary{Missing: r.Missing}
	for _, item := range r.Items {
		switch {
		case item.Refused != "":
			s.Refused = append(s.Refused, item.Sequence)
		case item.Duplicate:
			s.Duplicates = append(s.Duplicates, item.Sequence)
		default:
			s.Stored = append(s.Stored, item.Sequence)
		}
	}
	return s
}

// PurgeResult is how many letters were removed.
type PurgeResult struct {
	Removed int `json:"removed"`
	// Missing are the sequences of which there is no letter.
	Missing []uint64 `json:"missing,omitempty"`
}

func (c *call) letters() (request LetterRequest, filter deadletters.Filter, err error) {
	if err := c.body(&request); err != nil {
		return request, filter, err
	}
	if len(request.Sequences) == 0 || len(request.Sequences) > maxLetters {
		return request, filter, refuse(http.StatusBadRequest, "invalid", "%d sequences: want 1 to %d", len(request.Sequences), maxLetters)
	}
	return request, deadletters.Filter{Sequences: request.Sequences}, nil
}

// missing returns the sequences of a request of which there is no letter, and an error if
// there is none of any.
func (a *API) missing(ctx context.Context, filter deadletters.Filter) ([]uint64, error) {
	left := slices.Clone(filter.Sequences)
	slices.Sort(left)
	left = slices.Compact(left)
	asked := len(left)
	err := deadletters.Each(ctx, a.Log, filter, func(letter maintain.Letter) error {
		left = slices.DeleteFunc(left, func(sequence uint64) bool { return sequence == letter.Sequence })
		return nil
	})
	if err == nil && len(left) == asked {
		err = refuse(http.StatusNotFound, "not-found", "there is none of these %d letters", asked)
	}
	return left, err
}

func (a *API) redrive(ctx context.Context, c *call) (any, error) {
	request, filter, err := c.letters()
	if err != nil {
		return nil, err
	}
	missing, err := a.missing(ctx, filter)
	if err != nil {
		return nil, err
	}
	result := RedriveResult{Items: []deadletters.Outcome{}, Missing: missing}
	work := func() (any, error) {
		err := deadletters.Redrive(ctx, a.Log, a.Rules, filter, request.DryRun, func(outcome deadletters.Outcome) error {
			result.Items = append(result.Items, outcome)
			return nil
		})
		if err != nil && len(result.Items) == 0 {
			return nil, err // nothing was done
		}
		return result, err
	}
	if request.DryRun {
		return work()
	}
	return c.audited(ctx, request, work)
}

func (a *API) purge(ctx context.Context, c *call) (any, error) {
	request, filter, err := c.letters()
	if err != nil {
		return nil, err
	}
	missing, err := a.missing(ctx, filter)
	if err != nil {
		return nil, err
	}
	work := func() (any, error) {
		removed, err := deadletters.Purge(ctx, a.Log, filter, request.DryRun, nil)
		if err != nil && removed == 0 {
			return nil, err // nothing was done
		}
		return PurgeResult{Removed: removed, Missing: missing}, err
	}
	if request.DryRun {
		return work()
	}
	return c.audited(ctx, request, work)
}

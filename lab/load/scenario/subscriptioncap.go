package scenario

import (
	"context"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// subscriptionCap asks for more jobs than a socket may follow.
var subscriptionCap = Scenario{
	Name:     "subscription-cap",
	Summary:  "one socket asks for more jobs than it may follow: exactly the cap, one novel.error for each of the others, and it stays",
	Defaults: load.Options{Extras: 3, SettleMs: 2000},
	heeds:    []string{"extras", "jobCount", "settleMs"},
	run:      runSubscriptionCap,
}

// answers counts what a socket was told about its requests. The handler is its
// only writer, and signals each change.
type answers struct {
	mu         sync.Mutex // guards the fields below
	subscribed int
	refused    int
	wrong      []string
	pongs      int
	changed    chan struct{}
}

func (a *answers) take(e socket.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch e.Name {
	case messaging.EventSubscribed:
		a.subscribed++
	case messaging.EventError:
		var problem messaging.Problem
		err := e.Decode(&problem)
		if err == nil && problem.Code == messaging.CodeSubscriptionLimitReached && problem.Message == problem.Code.Message() {
			a.refused++
		} else {
			a.wrong = append(a.wrong, string(problem.Code)+" "+problem.Message)
		}
	case messaging.EventPong:
		a.pongs++
	}
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// await waits until enough holds, called with the lock held, or limit is over.
func (a *answers) await(ctx context.Context, limit time.Duration, enough func() bool) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		a.mu.Lock()
		done := enough()
		a.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-a.changed:
		case <-timer.C:
			return nil // the checks say what is missing
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func runSubscriptionCap(ctx context.Context, t *trial) error {
	limit := t.before.MaxSubscriptionsPerClient
	if limit == 0 {
		return t.skip("the gateway has no cap on the jobs of a socket")
	}
	jobs := t.opts.JobCount
	if jobs == 0 {
		jobs = limit + t.opts.Extras
	}
	want := min(limit, jobs)
	a := &answers{changed: make(chan struct{}, 1)}
	s, err := t.dialFirst(ctx, socket.Config{Handler: a.take})
	if err != nil {
		return err
	}
	began := time.Now()
	for i := range jobs {
		if err := s.Emit(messaging.EventSubscribe, map[string]any{"jobId": newJob()}); err != nil {
			return err
		}
		t.progress("subscribing", i+1, jobs)
	}
	// The answer to a ping comes behind those to all requests before it.
	if err := s.Emit(messaging.EventPing); err != nil {
		return err
	}
	if err := a.await(ctx, t.opts.Settle(), func() bool { return a.pongs > 0 && a.subscribed+a.refused+len(a.wrong) >= jobs }); err != nil {
		return err
	}
	took := time.Since(began)
	page, err := t.pages.First(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	r := t.result
	r.Check("subscribed", a.subscribed == want, want, a.subscribed)
	r.Check("one novel.error for each refusal", a.refused == jobs-want, jobs-want, a.refused)
	r.Check("every refusal has its code and text", len(a.wrong) == 0, "none with another", wrongText(a.wrong))
	r.Check("the socket stays", s.Err() == nil && a.pongs == 1, "it answers a ping", stays(s.Err(), a.pongs))
	a.mu.Unlock()
	r.Check("metrics count the subscriptions", page.TotalSubscriptions == t.before.TotalSubscriptions+want, t.before.TotalSubscriptions+want, page.TotalSubscriptions)
	r.Figure("answeredMs", measure.Ms(took))
	t.part([]*socket.Socket{s})
	return t.gone(ctx)
}

func stays(err error, pongs int) string {
	switch {
	case err != nil:
		return err.Error()
	case pongs == 0:
		return "no answer"
	}
	return "an answer"
}

package drills

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/lab/faults"
)

// The usual traffic in events per second. It is lower on a running system, where every
// event is erased in the end.
const (
	trafficRate = 100
	runningRate = 50
)

// rate returns the events per second of the trial's traffic.
func rate(t *faults.Trial) int {
	if t.Running() {
		return runningRate
	}
	return trafficRate
}

// some returns the number of events to acknowledge before a fault and after it, so that the
// report shows the normal rate: those of three seconds.
func some(t *faults.Trial) int { return 3 * rate(t) }

// traffic starts the traffic and returns once enough of it has reached the clients. The
// traffic continues until stop is called.
func traffic(ctx context.Context, t *faults.Trial) (stop func(), err error) {
	stop = t.Load(rate(t))
	err = t.Outbox.AwaitMore(ctx, some(t))
	if err == nil {
		err = t.AwaitClients(ctx)
	}
	if err := t.Check("events flow", fmt.Sprintf("%d a second are acknowledged and reach the clients", rate(t)), err); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// prepare stores events and waits until MongoDB, if there is one, has them.
func prepare(ctx context.Context, t *faults.Trial, count int, mongo bool) error {
	const atOnce = 5000
	for done := 0; done < count; {
		n := min(atOnce, count-done)
		if err := t.PublishSome(ctx, n); err != nil {
			return t.Check("history is there", "", err)
		}
		done += n
		t.Tell("prepare: %d of %d events stored", done, count)
	}
	if mongo {
		if err := awaitProjected(ctx, t); err != nil {
			return t.Check("history is there", "", err)
		}
	}
	found := fmt.Sprintf("%d events in the log", count)
	if mongo {
		found += ", and in MongoDB"
	}
	return t.Check("history is there", found, nil)
}

func awaitProjected(ctx context.Context, t *faults.Trial) error {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	return t.AwaitProjected(ctx, log)
}

// recovered records a recovery by the time since something happened.
func recovered(t *faults.Trial, what string, since time.Time) {
	t.Recovered(time.Since(since))
	t.Mark(what)
}

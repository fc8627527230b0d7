package faults

import "context"

// Operations of a fault on the clients of its trial.

// Jobs returns the names of the jobs, of which the first are followed.
func (t *Trial) Jobs() []string { return t.jobs }

// AwaitClients waits until every client has what the log has.
func (t *Trial) AwaitClients(ctx context.Context) error {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	heads, err := log.LastSequences(ctx, t.jobs)
	if err != nil {
		return err
	}
	for _, f := range t.followers {
		if err := f.await(ctx, heads); err != nil {
			return err
		}
	}
	return nil
}

// ExpectEpoch announces that the log will begin a new epoch, in which the clients get
// everything again.
func (t *Trial) ExpectEpoch() {
	for _, f := range t.followers {
		f.expectEpoch()
	}
}

// AwaitEpoch waits until every client was told of the new epoch for each job.
func (t *Trial) AwaitEpoch(ctx context.Context) error {
	for _, f := range t.followers {
		if err := f.awaitEpoch(ctx); err != nil {
			return err
		}
	}
	t.renewed = true
	return nil
}

// Positions returns the positions from which the first client would resume its jobs.
func (t *Trial) Positions() map[string]string { return t.followers[0].positions() }

// Return adds a client that was away and returns with positions of an earlier epoch: it
// must be told of the new epoch for each job, and get everything.
func (t *Trial) Return(ctx context.Context, name string, positions map[string]string) {
	t.follow(ctx, name, positions, epochExpected)
}

// Raw publishes texts unchanged, as a worker without an outbox does.
type Raw struct{ hand *hand }

// Raw returns a publisher. The caller must call Close.
func (t *Trial) Raw() Raw { return Raw{t.newHand()} }

// Send publishes a text once, and fails if no gateway is subscribed.
func (r Raw) Send(ctx context.Context, text []byte) error { return r.hand.send(ctx, text) }

// Close closes the publisher.
func (r Raw) Close() { r.hand.close() }

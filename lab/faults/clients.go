package faults

import "context"

// What a fault asks of the clients of its trial.

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

// ExpectEpoch says that the log will begin a new epoch, in which the clients get
// everything again.
func (t *Trial) ExpectEpoch() {
	for _, f := range t.followers {
		f.expectEpoch()
	}
}

// AwaitEpoch waits until every client was told of the new epoch, for each job.
func (t *Trial) AwaitEpoch(ctx context.Context) error {
	for _, f := range t.followers {
		if err := f.awaitEpoch(ctx); err != nil {
			return err
		}
	}
	t.renewed = true
	return nil
}

// Positions returns where the first client would resume each of its jobs.
func (t *Trial) Positions() map[string]string { return t.followers[0].positions() }

// Return adds a client that was away, and comes back with positions of an epoch that
// is over: it has to be told so for each job, and gets everything.
func (t *Trial) Return(ctx context.Context, name string, positions map[string]string) {
	t.follow(ctx, name, positions, epochExpected)
}

// Raw publishes texts as they are, as a worker does that has no outbox.
type Raw struct{ hand *hand }

// Raw returns a publisher, which its Close ends.
func (t *Trial) Raw() Raw { return Raw{t.newHand()} }

// Send publishes a text once, and fails when no gateway listens.
func (r Raw) Send(ctx context.Context, text []byte) error { return r.hand.send(ctx, text) }

// Close ends it.
func (r Raw) Close() { r.hand.close() }

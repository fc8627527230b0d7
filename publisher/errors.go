package publisher

import "errors"

var (
	// ErrFull is returned by [Publisher.Publish] when the outbox was full until
	// its context ended, and by [Publisher.TryPublish] at once. The event was not
	// taken in. A retry helps when receipts have come.
	ErrFull = errors.New("outbox is full")
	// ErrClosed is returned when the publisher has stopped. The event was not taken
	// in. A retry does not help.
	ErrClosed = errors.New("publisher has stopped")
	// ErrUnconfirmed is returned by [Publisher.Run], and by [Pending.Wait], for
	// events whose receipts had not come when it stopped. With a journal the next
	// publisher on the folder sends them.
	ErrUnconfirmed = errors.New("no receipt from any gateway")
	// ErrGivenUp is what became of an event that nobody confirmed within
	// [Config].GiveUpAfter. It may be stored all the same.
	ErrGivenUp = errors.New("given up without a receipt")
	// ErrIDTaken is returned for an id that waits in the outbox for the same job with another
	// body.
	// A retry does not help.
	ErrIDTaken = errors.New("the id is taken by another event")
	// ErrJournal is matched by failures to read or write the journal. The event
	// was not taken in. A retry helps once the disk has room.
	ErrJournal = errors.New("journal of the outbox")
)

package publisher

import "errors"

var (
	// ErrFull is returned by [Publisher.Publish] when the outbox was full until
	// its context ended, and by [Publisher.TryPublish] at once. The event was not
	// accepted. A retry can succeed when receipts have arrived.
	ErrFull = errors.New("outbox is full")
	// ErrClosed is returned when the publisher has stopped. The event was not
	// accepted. A retry does not help.
	ErrClosed = errors.New("publisher has stopped")
	// ErrUnconfirmed is returned by [Publisher.Run], and by [Pending.Wait], for
	// events without a receipt when it stopped. With a journal, the next
	// publisher on the folder sends them.
	ErrUnconfirmed = errors.New("no receipt from any gateway")
	// ErrGivenUp is the outcome of an event without a receipt within
	// [Config].GiveUpAfter. The event may be stored.
	ErrGivenUp = errors.New("given up without a receipt")
	// ErrIDTaken is returned if an event with the same job and id but another body
	// waits in the outbox. A retry does not help.
	ErrIDTaken = errors.New("the id is taken by another event")
	// ErrJournal is matched by failures to read or write the journal. The event
	// was not accepted. A retry can succeed once the disk has room.
	ErrJournal = errors.New("journal of the outbox")
)

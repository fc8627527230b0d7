// Package recorder is the flight recorder of one process: it keeps for a while what happened
// to the last events and clients, so that operators can ask for it afterwards.
//
// Of an event, each part of the process notes the stage that the event has passed ([Note]):
// a constant number of notes for each event, however many clients receive it. Of a client, a
// [Trail] has its last [Step]s; events of one job that follow each other are one step.
// Together they show when a client was sent an event: the event's note has the time of its
// delivery, and the client's steps have the sequences that it was sent.
//
// Everything is in memory, and bounded by [Config] and in time by [KeptFor].
// [Recorder.Forget] removes what names an erased job. Nothing has the content of an event,
// a token, or a private id.
//
// A nil [Recorder] and a nil [Trail] record nothing. The package starts no goroutine:
// whoever opens a recorder runs [Recorder.Run].
package recorder

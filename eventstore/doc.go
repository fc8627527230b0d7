// Package eventstore is the durable log of the service, on JetStream: every
// accepted event, in order, for as long as retention keeps it. Beside it, and of
// a lesser durability, are the states of client sessions ([Sessions]), and how
// many connections each gateway holds ([Shares]). Erasures are noted in a stream of
// their own ([Audit]).
//
// Data comes in from ingest ([Log.Append], [Log.DeadLetter]) and goes out three
// ways: to gateways as it happens ([Tail]), to projections in batches
// ([Log.Consume]), and to whoever catches up by ranged reads per job
// ([Log.ReadAfter], from where [Log.Locate] says). Operators' tools [Attach]
// to the log as it is, read it from end to end ([Log.Scan]), publish its records on
// other subjects ([Log.PublishTo]), pause and look at its consumers, and save and
// restore its streams ([Archive]).
//
//	stream NOVEL_EVENTS      novel.events.<token of the job>     file, discard new
//	  republished to         novel.live.<token of the job>
//	not stored               novel.replay.<token of the job>     what operators show its followers
//	not stored               novel.followers.<token of the job>  how many are those?
//	stream NOVEL_DEADLETTER  novel.deadletter.<reason>           file, discard old
//	stream NOVEL_AUDIT       novel.audit.erasure.<token>         file, nothing is deleted
//	  republished to         novel.erased.<token>, without content
//	stream NOVEL_IDENTITY    novel.identity.epoch, .mark         file, newest only
//	bucket NOVEL_OPERATIONS  key: all, the list of operations    file, newest only
//	bucket NOVEL_GATEWAYS    key: a gateway                      memory, newest only, expires
//	bucket NOVEL_SESSIONS    key: a session's id                 file, newest only, expires
//
// # Invariants
//
//   - A record is acknowledged to its producer only after the stream has it; how
//     far down the disk that is, the server's sync setting says.
//   - Per job, sequences ascend in the order of the appends. The caller keeps one
//     append per job in flight; a retry keeps the message id and so its place.
//   - A sequence means something only together with the epoch, which begins when the
//     stream is created or restored, or when the log is found to lack what it has
//     given out ([Log.Guard]). No two records have one position.
//   - One job is one subject. The token escapes whatever a subject gives a
//     meaning to, so no jobId can reach the records of another.
//   - A producer's id is stored once in its job: within the duplicate window by the server's
//     memory, beyond it for the newest ids that [KnownIDs] has read.
//   - A read that answers without an error is complete: a response that was cut
//     short is an error.
//
// # Which reads are authoritative
//
// [Log.State], [Log.Head], [Log.LastSequence], [Log.ConsumerFloor] and
// [Sessions.Load] ask the leader of the stream. The ranged reads and [Log.LastSequences] may be answered
// by any replica: they can lag behind by what that replica has not applied yet,
// but never return a wrong or reordered record. Who must reach a given sequence
// compares with it and reads again.
//
// # Goroutines
//
// [Open], [NewTail], [OpenSessions] and [OpenShares] start none. [Operations.Begin]
// starts one, which ends with [Held.End]. [Shares.Run], [KnownIDs.Run],
// [Log.ServeAudience] and [Log.Guard] need no other. [Tail.Run] starts one for each
// shard and one that watches the connection, [Sessions.Run] one for each save in
// flight; both return after these have ended. [Log.Consume] starts one for the
// length of each batch. The connection belongs to the caller of [Connect], who
// closes it last.
package eventstore

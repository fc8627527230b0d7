// Package eventstore is the durable log of the service, on JetStream: every accepted
// event, in order, for as long as retention keeps it.
//
// Package ingest appends events ([Log.Append], [Log.AppendBatch]) and dead letters
// ([Log.DeadLetter]). Gateways receive the records of followed jobs as they are stored
// ([Tail]), projections consume all records in batches ([Log.Consume]), and catch-up reads
// ranges of one job ([Log.ReadAfter], [Log.Locate]).
//
// The packages below this one keep state beside the log and work on it: sessions and
// shares are the gateways', audit is the record of erasures, and lease, archive and
// maintain are for operators, who [Attach] to a log without changing it.
//
//	stream NOVEL_EVENTS      novel.events.<token of the job>     file, discard new
//	  republished to         novel.live.<token of the job>
//	not stored               novel.replay.<token of the job>     replays for the followers of the job
//	not stored               novel.followers.<token of the job>  requests for their number
//	stream NOVEL_DEADLETTER  novel.deadletter.<reason>           file, discard old
//	stream NOVEL_AUDIT       novel.audit.erasure.<token>         file, nothing is deleted
//	  republished to         novel.erased.<token>, without content
//	                         novel.audit.admin                   changes over the operators' API
//	stream NOVEL_REVOCATIONS novel.revoke.<kind>.<hash>          file, newest only, expires
//	  republished to         novel.revoked.<kind>.<hash>
//	stream NOVEL_IDENTITY    novel.identity.epoch, .mark         file, newest only
//	bucket NOVEL_OPERATIONS  key: all, the list of operations    file, newest only
//	                         key: work, gateways' long work
//	bucket NOVEL_GATEWAYS    key: a gateway                      memory, newest only, expires
//	bucket NOVEL_SESSIONS    key: a session's id                 file, newest only, expires
//
// # Invariants
//
//   - A record is acknowledged to its producer only after the stream has it. Whether it is
//     then synced to disk is the server's sync setting.
//   - Per job, sequences ascend in the order of the appends. The caller keeps one
//     append per job in flight; a retry keeps the message id and so its place.
//   - A sequence is meaningful only together with its epoch, which begins when the stream is
//     created or restored, or when the log lacks records that it had acknowledged
//     ([Log.Guard]). No two records share a position.
//   - One job is one subject. The token escapes every character that has a meaning in a
//     subject, so no jobId can reach the records of another.
//   - A producer's id is stored once in its job: within the duplicate window by the server's
//     memory, beyond it for the newest ids that [KnownIDs] has read.
//   - A read that returns no error is complete: a response that was cut short is an error.
//
// # Which reads are authoritative
//
// [Log.State], [Log.Head], [Log.LastSequence] and [Log.ConsumerFloor] ask the leader of the
// stream. Any replica may answer the ranged reads and [Log.LastSequences]: they can lag
// behind by what that replica has not applied yet, but never return a wrong or reordered
// record. A caller that must reach a given sequence compares with it and reads again.
//
// # Goroutines
//
// [Open] and [NewTail] start none. [KnownIDs.Run], [Log.ServeAudience], [Log.Guard] and
// [Log.Scrub] need no other. [Tail.Run] starts one for each shard and one that watches the
// connection, and returns after these have ended. [Log.Consume] starts one for the length
// of each batch. The connection belongs to the caller of [Connect], who closes it last.
package eventstore

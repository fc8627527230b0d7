// Package erasure removes what the service keeps of one job, for good: a person's
// right to be forgotten.
//
// It works on the log, its dead letters, the read models in MongoDB and the
// manifests of backups, and keeps a record of who had what removed, when and why
// (audit.Trail). The workers' collection novel_jobs is not the service's: it is
// counted and never written.
//
// # The order
//
//  1. The record says that the erasure has begun, up to which sequence. From then on
//     gateways show nothing of the job up to there, whatever they still hold in
//     memory or find in a store, and tell its subscribers.
//  2. The projections are paused, a minute at most, until no batch is in flight.
//     The log's records are overwritten and removed, and the projections go on: none
//     of them holds a record of the job any more, and the server redelivers none that
//     is gone. So nothing is written back in what follows.
//  3. The documents are removed: from the read models, from shadows that a rebuild
//     fills, and from collections that swaps have put aside.
//  4. The dead letters that name the job are overwritten and removed.
//  5. The manifests of backups are told, which a restore obeys.
//  6. After the time for which a gateway that is cut off may go by what it knew, the
//     record says that it is done.
//
// Every step can be repeated. What is interrupted is found by its record, and is
// finished first by the next call for the job: the outcome is the same, wherever it
// was interrupted. Events that are published after it began are new ones, and stay.
//
// Nothing here runs after a call has returned.
package erasure

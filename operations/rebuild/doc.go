// Package rebuild re-creates the read models in MongoDB from the log, beside live
// traffic, and compares them with it.
//
// Data comes from the log ([Log]), through a durable consumer of its own for each
// projection, and goes into a shadow of the projection's collection
// (projections.Model). A rebuild that was interrupted continues at the position of its
// consumer.
//
// # The seam
//
// Readers trust the collection up to what the live consumer has acknowledged, its
// floor. So the shadow may take the collection's place only when it has everything
// up to the floor, and no batch may be written into the old collection and
// acknowledged after that. Hence, in this order ([Rebuild.Swap]):
//
//  1. the shadow is filled up to the head of the log and compared with it,
//  2. the live consumer is paused, for a minute at most, and what it has in flight
//     is acknowledged, so that its floor does not move; nor does it move where the
//     collection was dropped (projections.ErrLost),
//  3. the shadow reaches that floor, and its own consumer ends,
//  4. the pause is extended without an end, and the collections are renamed,
//  5. the live consumer is resumed, and writes into the new collection,
//  6. what other writers have added to the old collection meanwhile is copied.
//
// A process that dies before 4 leaves a pause that ends by itself. One that dies
// within 4 leaves the consumer paused and the collection missing, so that readers use the
// log; the next swap completes it.
//
// # Goroutines
//
// [Rebuild.Fill] and [Rebuild.Swap] run the shadow's consumer in one goroutine,
// [Rebuild.Verify] reads the collection in one while it folds the log; they have
// ended when the methods return. The package starts no other goroutine.
package rebuild

// Package metrics reads what a gateway says of itself, keeps it in files, and
// compares two of them.
//
// Its data comes from GET /internal/realtime/metrics, which the contract
// describes, and, where a gateway has one, from the Prometheus page /metrics, for
// memory and descriptors. With several gateways the counts are added up; limits
// are those of one, and each gateway has its own; of a job's catch-ups the latest
// is shown.
//
// # Invariants
//
//   - A page is kept whole: keys that this package does not know are in the file
//     and in comparisons.
//   - A page that breaks the contract is an error ([ErrPage]), not a zero.
//
// Nothing here starts a goroutine.
package metrics

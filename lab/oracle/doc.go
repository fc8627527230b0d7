// Package oracle says whether a system under test kept its promises, from files
// that were written outside of it, append-only, while it was hurt:
//
//	A.ndjson         attempted by the producer
//	K.ndjson         acknowledged to the producer: a receipt, or HTTP 2xx
//	S.ndjson         read back from the log, job by job in its order
//	P.ndjson         taken out of the log by an operator; as a rule absent
//	M.ndjson         read back from MongoDB; absent when nothing was projected
//	C-NAME.ndjson    delivered to a client, and the cursors it asked for
//
// [Journal] writes them and [Judge] reads them. Nothing else is known to the
// judge: no clock, no counter of the service, no memory of the producer. The lines
// of A, K and C also say when they were written, for [ReadPace], which tells how much
// happened when.
//
// # The rules
//
//	lost        in K and not in S, or stored elsewhere than it was acknowledged
//	            in K and not in M, when M is there
//	            due to a client, that is in S after its first cursor, and not in C
//	duplicated  one id at two places of S, or in two documents of M
//	            one id twice in C without a resume between them, or after one
//	            whose cursor was not before it
//	reordered   a sequence that does not ascend within a job, in S or in C; or an
//	            order in S that is not that of the first attempts of a job
//	phantom     in S and not in A; in M or C and not in S, or there at another place
//
// An attempt without an acknowledgement may be in S once or not at all: the
// producer was told nothing. Repeating an attempt is no second event.
//
// A resume is a line of C that begins a job again, with the cursor that the client
// sent; or a delivery that is marked as the first after one whose cursor nobody
// noted, which excuses every repeat behind it once.
//
// What is in P was in S before: it is neither lost nor a phantom, it is due to
// nobody any more, nor to MongoDB, and once more in S, and then in C, it is no
// duplicate. To a client in a new epoch ([Journal.Renewed]) it is a phantom.
//
// The package starts no goroutine.
package oracle

// Package oracle checks whether a system under test kept its promises, from append-only
// files that were written outside of it during the test:
//
//	A.ndjson         attempted by the producer
//	K.ndjson         acknowledged to the producer: a receipt, or HTTP 2xx
//	S.ndjson         read back from the log, job by job in its order
//	P.ndjson         taken out of the log by an operator; as a rule absent
//	M.ndjson         read back from MongoDB; absent when nothing was projected
//	C-NAME.ndjson    delivered to a client, and the cursors it asked for
//
// [Journal] writes the files and [Judge] reads them. The judge uses nothing else: no clock,
// no counter of the service, no memory of the producer. The lines of A, K and C also have
// the time of writing, for [ReadPace], which returns the rates over time.
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
// An attempt without an acknowledgement may be in S once or not at all, because the
// producer was promised nothing. A repeated attempt is not a second event.
//
// A resume is a line of C that begins a job again, with the cursor that the client sent; or
// a delivery that is marked as the first after a resume whose cursor was not recorded,
// which excuses every later repetition once.
//
// An event in P was in S before. It is neither lost nor a phantom, it is no longer due to
// any client or to MongoDB, and if it is in S again, and then in C, it is not a duplicate.
// Delivered to a client in a new epoch ([Journal.Renewed]) it is a phantom.
//
// The package starts no goroutine.
package oracle

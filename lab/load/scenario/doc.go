// Package scenario is what the harness does to a gateway, and what must hold: one
// file for each scenario, named after it.
//
// A scenario sees a deployment as clients and workers do. It reads the limits that
// it is about from the metrics page; a deployment without that limit skips it,
// with the reason. [Scenario.Run] returns a result and never an error: what keeps
// a scenario from being carried out fails it.
//
// # Data flow
//
//	producer ─▶ Redis ─▶ (the deployment) ─▶ crowd of followers ─▶ ledgers, latencies ─▶ loadtest.Result
//	                                      └▶ metrics pages ──────▶ checks ─────────────▶
//
// # Invariants
//
//   - Jobs have random ids, so that runs do not see each other's events, and
//     no other run's.
//   - Every socket that a scenario opens is gone when it returns.
//   - Events are due at times that are fixed before; latencies count from those.
//
// Goroutines belong to one run: one for each socket, a few for dialling, those of
// the producer. All have ended when [Scenario.Run] returns.
package scenario

// Package baseline loads throw-away deployments of real processes on this machine,
// in several configurations, and leaves reports: the smoke test of the continuous
// integration, and the figures that later runs are compared with.
//
//	embedded   one gateway with its log inside, each event on disk before its receipt
//	interval   the same, with a log that is written to disk every 10 s
//	external   one gateway and one NATS server
//	cluster    three gateways and three NATS servers
//
// Each configuration goes through stages; a stage is a gateway's settings and the
// scenarios that are run against it. The results of all stages of a configuration
// are one report, in a folder with its name, which "realtime-lab loadtest compare-runs"
// reads; baseline.md compares the configurations.
//
// Its processes come from lab/processes and its scenarios from loadtest; what they
// measure is seen from outside. The package starts no goroutine of its own.
package baseline

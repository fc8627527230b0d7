// Package loadtest is what the parts of the load-test harness share: the
// configuration of a run, the options of a scenario, and its result.
//
// The harness sees a deployment from outside: its sockets, its metrics page, and
// the Redis that its workers publish to. It works against any gateway that keeps
// the contract, and imports nothing of the service but the contract itself.
//
//	loadtest           configuration, options, results
//	lab/load/socket    a Socket.IO client, tens of thousands to a process
//	lab/load/measure   latencies, losses, timelines, the harness's own use
//	lab/load/metrics   the gateway's metrics pages, kept and compared
//	lab/load/scenario  what is done to a gateway, and what must hold
//	lab/load/suite     several scenarios in a row, and their files
//	lab/load/report    what a run leaves for people to read
//
// # Layers of options
//
// A scenario has defaults. The "options" of the configuration file lie above
// them, its "scenarioOptions" above those, and flags of the command above all.
//
// The package is values and starts no goroutine.
package load

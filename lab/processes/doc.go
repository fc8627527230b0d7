// Package processes runs one throw-away system of real processes: NATS servers, a
// redis-server, a MongoDB-protocol server and gateways, on loopback ports and in
// one folder, so that a drill can kill, stop and pause them as operators and
// accidents do.
//
//	programs, err := processes.Build(ctx, root, folder)  // once, for any number of labs
//	l, err := processes.New(processes.Config{Programs: programs, Dir: dir, Nodes: 3})
//	err = l.NATS(0).Start(ctx)
//	gateway := l.Gateway(map[string]string{"ROLES": "ingest"})
//	err = gateway.Start(ctx)
//	gateway.Kill()
//	err = l.Close()
//
// The programs are built from the module ([Build]), or looked for ([Find]); the NATS
// servers run with the configuration files of deploy/cluster; redis-server is
// the machine's.
//
// # Invariants
//
//   - A process keeps its address and its files across its lives. Ports are taken
//     below the range of outgoing connections, so that no connection gets one by chance
//     while the process is down.
//   - [Lab.Close] ends every process that the lab started, by its process id,
//     paused or not, and removes the folder unless it was told to keep it. On
//     Linux they also end with this process, however that ends.
//   - Nothing of the environment reaches a process but what it needs to run.
//
// Each life of a process has one goroutine, which waits for its end; it ends with
// it. Processes may be used concurrently.
package processes

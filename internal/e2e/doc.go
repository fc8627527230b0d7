// Package e2e tests the service as its users meet it: the real program as a
// process of its own, a real redis-server, and the unmodified socket.io-client
// in Node.
//
// A test starts what it needs on free loopback ports: the gateway from a binary
// that is built once per run, with a data folder and an environment that are
// the test's alone; redis-server through internal/testkit; and one Node process
// (client/client.mjs) that holds any number of Socket.IO clients, takes a
// command a line and reports every event a line. Events come from an outbox,
// which repeats each one until its receipt has arrived, as a worker that must
// lose nothing does.
//
// Between a client and its gateway a test can put a network of its own, which
// breaks with and without the gateway's notice and leads to another gateway
// afterwards. A visitor is a client behind one that does nothing for its return:
// what it misses it gets from connection state recovery, or not at all.
//
// What was published, what was acknowledged and what each client received is
// kept outside the service, and compared when a test ends: nothing lost,
// nothing twice, in the order of the log. Killing means SIGKILL.
//
// Each process has one goroutine that reads its output and ends with it, and a
// network has two for each of its connections; the cleanup of the test ends and
// waits for them all. A missing program or missing Node packages
// (npm ci --prefix internal/e2e/client) skip a test with a message, or fail it
// when CI=true.
package e2e

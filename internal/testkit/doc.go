// Package testkit starts the foreign programs that tests of this project talk
// to, so that a test meets the real server and not an imitation. The Socket.IO
// client of tests is in lab/load/socket.
//
// Every process belongs to the test that started it: it listens on a free
// loopback port, keeps its files in the test's temporary folder, and is killed
// by the test's cleanup. The one goroutine per process reads its output and
// ends with it; the cleanup waits for both.
//
// A test whose program is missing is skipped with a message that names the
// program, and fails when the environment has CI=true: there, a missing program
// would hide that nothing was tested.
package testkit

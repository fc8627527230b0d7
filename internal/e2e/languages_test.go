package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// Stock clients go through the contract: subscribe, history, live events, ping, errors
// and their texts, unsubscribe, and a restart of the gateway, after which each has
// every event once and in order. A browser does the same in web/smoke
// (contract.test.ts).

func TestContractOnNode(t *testing.T) {
	t.Parallel()
	contractHolds(t, startDriver,
		command{Client: "socket.io-client 4", Version: 4, Options: merge()},
		command{Client: "socket.io-client 4, upgrade", Version: 4, Options: merge(transports["default"])},
		command{Client: "socket.io-client 4, polling", Version: 4, Options: merge(transports["polling"])},
		command{Client: "socket.io-client 3", Version: 3, Options: merge()},
		command{Client: "EventSource", Op: "stream", JobID: sharedJob})
}

func TestContractInPython(t *testing.T) {
	t.Parallel()
	contractHolds(t, startPython,
		command{Client: "python-socketio", Options: options{"transports": []string{"websocket"}}},
		command{Client: "python-socketio, upgrade", Options: options{"transports": []string{"polling", "websocket"}}},
		command{Client: "python-socketio, polling", Options: options{"transports": []string{"polling"}}})
}

func TestContractInGo(t *testing.T) {
	t.Parallel()
	contractHolds(t, startGo, command{Client: "Go"})
}

// sharedJob is followed by every client of a test, over the restart.
const sharedJob = "shared"

// contractHolds takes clients of one driver through the contract.
func contractHolds(t *testing.T, start func(testing.TB) *driver, clients ...command) {
	t.Helper()
	const (
		history = 40 // more than python-engineio takes in one polling answer
		live    = 20
	)
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL()})
	producer := startOutbox(t, redis.Client())
	nodes := start(t)
	publish := func(jobID string, n int) {
		for range n {
			producer.send(jobID)
		}
		producer.settle()
	}
	publish(sharedJob, history)

	all, journals := make([]*client, len(clients)), make([]journal, len(clients))
	for i, described := range clients {
		described.URL, journals[i] = server.url("/"), journal{jobID: sharedJob}
		all[i] = nodes.launch(described)
		all[i].await("connect")
		if described.Op != "stream" {
			followContract(t, all[i], &journals[i], history, publish)
			continue
		}
		journals[i].follow(all[i], history)
		all[i].await(messaging.EventCaughtUp)
	}
	publish(sharedJob, live)
	server.stop()
	for range live {
		producer.send(sharedJob)
	}
	server.start()
	publish(sharedJob, live)
	stored := producer.storedOf(sharedJob)
	for i, c := range all {
		if clients[i].Op == "stream" {
			journals[i].follow(c, len(stored)) // the stream resumes by itself
			journals[i].compare(c, stored)
			continue
		}
		// A client that is not recovered subscribes again after each connect.
		journals[i].follow(c, len(stored))
		journals[i].finish(c, stored)
	}
	server.kill() // the clients are still there, and a drain would take its time
}

// followContract is what a client on a socket does before the restart.
func followContract(t *testing.T, c *client, shared *journal, history int, publish func(jobID string, n int)) {
	t.Helper()
	c.subscribe(sharedJob, nil)
	var subscribed messaging.Subscribed
	if c.await(messaging.EventSubscribed).into(t, &subscribed); subscribed.JobID != sharedJob || subscribed.SubscribedAt == "" {
		t.Errorf("subscribed as %+v", subscribed)
	}
	shared.follow(c, history)
	c.await(messaging.EventCaughtUp)

	c.do("ping")
	var pong messaging.Pong
	if c.await(messaging.EventPong).into(t, &pong); pong.Timestamp == 0 {
		t.Errorf("pong %+v", pong)
	}

	for name, text := range map[string]string{
		"subscribe": "jobId is required to subscribe.", "unsubscribe": "jobId is required to unsubscribe.",
	} {
		c.driver.send(command{Op: "emit", Client: c.name, Event: name, Args: []any{map[string]any{"jobId": " "}}})
		var problem messaging.Problem
		if c.await(messaging.EventError).into(t, &problem); problem.Message != text || problem.Code != messaging.CodeJobIDRequired {
			t.Errorf("%s without jobId is answered %+v", name, problem)
		}
	}

	// A job of its own, live, and then left: its later events do not arrive.
	own := &journal{jobID: "own of " + c.name}
	if a := c.request("subscribe", map[string]any{"jobId": own.jobID}); !a.OK || a.JobID != own.jobID {
		t.Errorf("subscribe is acknowledged with %+v", a)
	}
	publish(own.jobID, 1)
	own.follow(c, 1)
	c.driver.send(command{Op: "unsubscribe", Client: c.name, JobID: own.jobID})
	var left messaging.Unsubscribed
	if c.await(messaging.EventUnsubscribed).into(t, &left); left.JobID != own.jobID || left.UnsubscribedAt == "" {
		t.Errorf("unsubscribed as %+v", left)
	}
	publish(own.jobID, 1)
}

// startPython is startDriver for python-socketio, which Debian has as
// python3-socketio for its own Python.
func startPython(t testing.TB) *driver {
	t.Helper()
	var problems []error
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		check := exec.Command(name, "-c", "import socketio, aiohttp")
		output, err := check.CombinedOutput()
		if err == nil {
			return startProcess(t, name, "client/client.py")
		}
		problems = append(problems, fmt.Errorf("%s: %w: %s", name, err, output))
	}
	message := "python-socketio is missing; install python3-socketio and python3-aiohttp"
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: %v", message, problems)
	}
	t.Skipf("SKIPPED, NOTHING WAS TESTED: %s: %v", message, problems)
	return nil
}

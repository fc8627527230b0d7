package e2e_test

import (
	"regexp"
	"testing"
)

// startCluster starts a process that holds the log and reads from Redis, and
// gateways that have nothing of their own.
func startCluster(t testing.TB, redisURL string, gateways int) []*gateway {
	t.Helper()
	log := startGateway(t, settings{"REDIS_URL": redisURL, "ROLES": "ingest", "NATS_LISTEN": "127.0.0.1:0", "NATS_SYNC": "10s"})
	all := make([]*gateway, gateways)
	for i := range all {
		all[i] = startGateway(t, settings{"ROLES": "fanout", "NATS_URL": natsURL(log)})
	}
	return all
}

var natsAddress = regexp.MustCompile(`"(nats://[^"]+)"`)

// natsURL is where the log of a gateway takes clients.
func natsURL(g *gateway) string {
	g.t.Helper()
	url, found := g.output.find(natsAddress)
	if !found {
		g.t.Fatalf("the gateway did not say where NATS listens:\n%s", g.output.tail())
	}
	return url
}

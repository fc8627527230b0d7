package server_test

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"testing"

	natsd "github.com/nats-io/nats-server/v2/server"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
)

// Each reason for which a backend takes no connection has its cause in the metric, and
// fires the alert: here every one but credentials, by what really causes it.
func TestNeedsOfConnections(t *testing.T) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		store, small := testkit.StartRedis(t), testkit.StartRedis(t, "--databases", "1")
		relay := testkit.StartRelay(t, store.Addr)
		back := func() { relay.To(store.Addr) }
		n := startNeeding(t, map[string]string{"REDIS_URL": "redis://" + relay.Addr + "/1"})
		for _, test := range []struct {
			cause, says string
			broken      func()
		}{
			{"tls", "the Redis server takes TLS only", func() { relay.To(testkit.StartTLS(t, store.Addr)) }},
			{"closed", "the Redis server closes the connection without an answer", func() { relay.To(testkit.StartClosing(t)) }},
			{"database", "the Redis server has no database of the number in REDIS_URL", func() { relay.To(small.Addr) }},
			{"unreachable", "the Redis server cannot be reached", relay.Off},
		} {
			n.during(unconnected("redis", "redis", "not-ready", test.cause, test.says, "REDIS_URL"), test.broken, back)
		}
	})
	t.Run("mongodb", func(t *testing.T) {
		t.Parallel()
		server, err := url.Parse(mongokit.URI())
		if err != nil {
			t.Fatal(err)
		}
		relay := testkit.StartRelay(t, server.Host)
		back := func() { relay.To(server.Host) }
		n := startNeeding(t, map[string]string{"MONGODB_URI": "mongodb://" + relay.Addr + "/" + mongokit.DatabaseName(t)})
		n.published("job-1", "first") // which makes the witness that the canary writes to
		for _, test := range []struct {
			cause, says string
			broken      func()
		}{
			{"tls", "only one side speaks TLS", func() { relay.To(testkit.StartTLS(t, server.Host)) }},
			{"closed", "MongoDB closes the connection without an answer", func() { relay.To(testkit.StartClosing(t)) }},
			{"unreachable", "MongoDB cannot be reached", relay.Off},
		} {
			n.during(unconnected("mongodb", "mongodb", "degraded", test.cause, test.says, "MONGODB_URI"), test.broken, back)
		}
	})
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		least := leastOfNATS()
		broker := startGuarded(t, least)
		server, err := url.Parse(broker.url("realtime"))
		if err != nil {
			t.Fatal(err)
		}
		relay := testkit.StartRelay(t, server.Host)
		target := server.Host
		server.Host = relay.Addr
		n := startNeeding(t, map[string]string{"NATS_URL": server.String()})
		n.until("the gateway is well", func() error { return n.well(nothing) })
		before := n.get("/metrics")
		for _, test := range []struct {
			cause, says string
			broken      func()
		}{
			{"tls", "the certificate of the NATS server cannot be verified", func() { relay.To(startUntrusted(t)) }},
			{"unreachable", "NATS cannot be reached", relay.Off},
		} {
			test.broken()
			sample := fmt.Sprintf("realtime_app_canary_failing{cause=%q,leg=\"log\"} 1", test.cause)
			n.until("health and the metric name it", func() error {
				state, parts := n.health()
				if state != "not-ready" || !strings.Contains(parts["log"], test.says) || !strings.Contains(n.get("/metrics"), sample) {
					return fmt.Errorf("%s %v", state, parts)
				}
				return nil
			})
			during := n.get("/metrics")
			t.Run("alert "+test.cause, func(t *testing.T) {
				checkAlert(t, fmt.Sprintf(`RealtimeNeedNotMet{leg="log",cause=%q}`, test.cause), before, during)
			})
			relay.To(target)
			n.until("the gateway is well again", func() error { return n.well(nothing) })
		}
	})
}

// startUntrusted runs a NATS server that takes TLS only, with a certificate of an authority
// that nobody trusts, and returns its address.
func startUntrusted(t *testing.T) string {
	t.Helper()
	certificate, key := testkit.NewAuthority(t).Issue("localhost")
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	server := logkit.Server(t, natsd.Options{
		TLS: true, TLSTimeout: 10, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}},
	})
	return server.Addr().String()
}

// unconnected is the outage of a backend that takes no connection.
func unconnected(part, area, state, cause, says, do string) outage {
	return outage{
		state: state, part: part, says: says, area: area, do: do, warned: true,
		sample: fmt.Sprintf(`realtime_app_canary_failing{cause=%q,leg=%q}`, cause, part),
		alert:  fmt.Sprintf(`RealtimeNeedNotMet{leg=%q,cause=%q}`, part, cause),
	}
}

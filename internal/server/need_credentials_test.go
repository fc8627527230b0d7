package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
)

// A password that a server no longer takes is named as that in health, metric, alert,
// doctor and log, and not as a right that is missing.
func TestNeedsOfCredentials(t *testing.T) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		store := testkit.StartRedis(t)
		client := store.Client()
		setUser(t, client, leastOfRedis...)
		n := startNeeding(t, map[string]string{"REDIS_URL": "redis://realtime:pw@" + store.Addr})
		n.during(outage{
			state: "not-ready", part: "redis", warned: true, // of a connection that was in use when it was closed
			says: "the Redis server refuses the user or the password of REDIS_URL", area: "redis", do: "change REDIS_URL",
			sample: `realtime_app_canary_failing{cause="credentials",leg="redis"}`, alert: `RealtimeNeedNotMet{leg="redis",cause="credentials"}`,
		}, func() {
			// The connections that are open stay: Redis asks for the password once.
			setPassword(t, client, "another")
			if err := client.ClientKillByFilter(t.Context(), "USER", "realtime").Err(); err != nil {
				t.Fatal(err)
			}
		}, func() { setUser(t, client, leastOfRedis...) })
		if said := n.log.String(); strings.Contains(said, "may not subscribe") {
			t.Errorf("a wrong password is taken for a missing right:\n%s", said)
		}
	})
	t.Run("mongodb", func(t *testing.T) {
		t.Parallel()
		guard := mongokit.StartGuard(t)
		n := startNeeding(t, map[string]string{"MONGODB_URI": guard.URI(mongokit.DatabaseName(t))})
		n.published("job-1", "first") // which makes the witness that the canary writes to
		n.during(outage{
			state: "degraded", part: "mongodb", warned: true, says: "MongoDB asks for a user and a password", area: "mongodb", do: "MONGODB_URI",
			sample: `realtime_app_canary_failing{cause="credentials",leg="mongodb"}`, alert: `RealtimeNeedNotMet{leg="mongodb",cause="credentials"}`,
		}, func() {
			guard.Refuse(mongokit.Refusal{Command: "update", Code: 13, Name: "Unauthorized", Text: "Command update requires authentication"})
		}, func() { guard.Refuse(mongokit.Refusal{}) })
	})
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		least := leastOfNATS()
		broker := startGuarded(t, least)
		n := startNeeding(t, map[string]string{"NATS_URL": broker.url("realtime")})
		n.until("the gateway is well", func() error { return n.well(nothing) })
		from := len(n.log.String())
		broker.change(grantsJSON{least.publish, least.subscribe, "another"})
		says, sample := "NATS refuses the user, the password or the token", `realtime_app_canary_failing{cause="credentials",leg="log"} 1`
		n.until("health and the metric name it", func() error {
			state, parts := n.health()
			if state != "not-ready" || !strings.Contains(parts["log"], says) || !strings.Contains(n.get("/metrics"), sample) {
				return fmt.Errorf("%s %v", state, parts)
			}
			return nil
		})
		failed := n.runs("log")
		n.until("the canary has failed some times", func() error {
			if now := n.runs("log"); now < failed+needRuns {
				return fmt.Errorf("%v runs", now-failed)
			}
			return nil
		})
		n.examined(outage{says: says, area: "nats", do: "change NATS_URL"}, "")
		told := slices.DeleteFunc(n.complaints(from), func(line string) bool { return !strings.Contains(line, says) })
		if len(told) != 1 {
			t.Errorf("the outage is logged so:\n%s", strings.Join(told, "\n"))
		}
		broker.grant(least)
		n.until("the gateway is well again", func() error { return n.well(nothing) })
	})
}

package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/operations/doctor"
	"github.com/letswriteabook/realtime/operations/examine"
)

// leastOfRedis are the rules of docs/ops/permissions.md, beside the user and the password.
var leastOfRedis = []string{"resetchannels", "&novel.realtime.*", "+subscribe", "+publish", "+ping"}

// setUser gives the user of the gateway exactly these rules.
func setUser(t *testing.T, client *redis.Client, rules ...string) {
	t.Helper()
	command := []any{"ACL", "SETUSER", "realtime", "reset", "on", ">pw"}
	for _, rule := range rules {
		command = append(command, rule)
	}
	if err := client.Do(t.Context(), command...).Err(); err != nil {
		t.Fatal(err)
	}
}

// setPassword gives the user of the gateway another password.
func setPassword(t *testing.T, client *redis.Client, password string) {
	t.Helper()
	if err := client.Do(t.Context(), "ACL", "SETUSER", "realtime", "resetpass", ">"+password).Err(); err != nil {
		t.Fatal(err)
	}
}

// A Redis that answers and does not do what is needed is told in every place, for each
// cause; and the alert fires on what the gateway serves then.
func TestNeedsOfRedis(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t)
	client := store.Client()
	setUser(t, client, leastOfRedis...)
	n := startNeeding(t, map[string]string{"REDIS_URL": "redis://realtime:pw@" + store.Addr})
	rules := func(rules ...string) func() { return func() { setUser(t, client, rules...) } }
	n.during(outage{
		state: "degraded", part: "redis", says: "receipts do not reach the channel novel.realtime.receipts", area: "redis", do: "ACL SETUSER",
		sample: `realtime_app_canary_failing{cause="receipts",leg="redis"}`, alert: `RealtimeNeedNotMet{leg="redis",cause="receipts"}`,
		warned: true, // Redis ends a subscription to a channel of the canaries that is no longer allowed
	}, rules("resetchannels", "&novel.realtime.events", "+subscribe", "+publish", "+ping"), rules(leastOfRedis...))
	n.during(outage{
		state: "not-ready", part: "redis", says: "the Redis user may not subscribe to novel.realtime.events", area: "redis", do: "ACL SETUSER",
		sample: `realtime_app_canary_failing{cause="subscribe-forbidden",leg="redis"}`, alert: `RealtimeNeedNotMet{leg="redis",cause="subscribe-forbidden"}`,
	}, rules("resetchannels", "+subscribe", "+publish", "+ping"), rules(leastOfRedis...))
	n.during(outage{
		state: "degraded", part: "redis", says: "the Redis server is a replica", area: "redis", do: "set REDIS_URL to the primary",
		sample: `realtime_app_canary_failing{cause="replica",leg="redis"}`, alert: `RealtimeNeedNotMet{leg="redis",cause="replica"}`,
	}, func() {
		if err := client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
			t.Fatal(err)
		}
	}, func() {
		if err := client.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
			t.Fatal(err)
		}
	})
}

// A Sentinel takes subscriptions, and no event ever comes through it.
func TestNeedsOfASentinel(t *testing.T) {
	t.Parallel()
	sentinel := testkit.StartSentinel(t)
	n := startNeeding(t, map[string]string{"REDIS_URL": sentinel.URL()})
	says := "REDIS_URL is the address of a Sentinel"
	n.until("health names it", func() error {
		if state, parts := n.health(); state != "degraded" || !strings.Contains(parts["redis"], says) {
			return fmt.Errorf("%s %v", state, parts)
		}
		return nil
	})
	during := n.get("/metrics")
	if sample := `realtime_app_canary_failing{cause="sentinel",leg="redis"} 1`; !strings.Contains(during, sample) {
		t.Errorf("no %s", sample)
	}
	n.examined(outage{says: says, area: "redis", do: "set it to the primary"}, "")
	t.Run("alert", func(t *testing.T) { checkAlert(t, `RealtimeNeedNotMet{leg="redis",cause="sentinel"}`, "", during) })
}

// The least rights are the least: without any one of them the doctor names it, and with
// all of them it does not complain.
func TestLeastRightsOfRedis(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t)
	client := store.Client()
	cfg, err := config.Load(map[string]string{"REDIS_URL": "redis://realtime:pw@" + store.Addr, "DATA_DIR": t.TempDir(), "HOST": "127.0.0.1", "PORT": "0"})
	if err != nil {
		t.Fatal(err)
	}
	ofRedis := func() (complaints []doctor.Check) {
		for _, check := range examine.Installation(t.Context(), cfg, nil, nil).Checks {
			if check.Area == "redis" && (check.Level == doctor.Fail || check.Level == doctor.Warn) {
				complaints = append(complaints, check)
			}
		}
		return complaints
	}
	checkDocumented(t, strings.Join(leastOfRedis, " "))
	setUser(t, client, leastOfRedis...)
	if complaints := ofRedis(); len(complaints) > 0 {
		t.Errorf("with the least rights: %+v", complaints)
	}
	for i, rule := range leastOfRedis[1:] {
		rest := append([]string{}, leastOfRedis[:i+1]...)
		setUser(t, client, append(rest, leastOfRedis[i+2:]...)...)
		complaints := ofRedis()
		if len(complaints) == 0 || !strings.Contains(complaints[0].Found+complaints[0].Do, rule) {
			t.Errorf("without %s: %+v", rule, complaints)
		}
	}
}

package server_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/doctor"
	"github.com/letswriteabook/realtime/operations/examine"
)

// MongoDB that refuses writes, for want of a role or for the name of the database, is
// told in every place.
func TestNeedsOfMongoDB(t *testing.T) {
	t.Parallel()
	guard := mongokit.StartGuard(t)
	n := startNeeding(t, map[string]string{"MONGODB_URI": guard.URI(mongokit.DatabaseName(t))})
	n.published("job-1", "first") // which makes the witness that the canary writes to
	n.during(outage{
		state: "degraded", part: "mongodb", warned: true, says: "MongoDB refuses to write to", area: "mongodb", do: "the rights of its user",
		sample: `realtime_app_canary_failing{cause="refused",leg="mongodb"}`, alert: `RealtimeNeedNotMet{leg="mongodb",cause="refused"}`,
	}, func() { guard.Allow(mongokit.Read) }, func() { guard.Allow(mongokit.ReadWrite) })
	n.during(outage{
		state: "degraded", part: "mongodb", warned: true, says: "MongoDB refuses to read", area: "mongodb", do: "the rights of its user",
		sample: `realtime_app_canary_failing{cause="refused",leg="mongodb"}`, alert: `RealtimeNeedNotMet{leg="mongodb",cause="refused"}`,
	}, func() { guard.Allow(func(command string) bool { return command == "update" }) }, func() { guard.Allow(mongokit.ReadWrite) })
}

// TestStopWhileMongoDBHangs: a MongoDB that answers nothing keeps no part of a gateway from
// its end, and the stop is in order.
func TestStopWhileMongoDBHangs(t *testing.T) {
	t.Parallel()
	guard := mongokit.StartGuard(t)
	hung, release := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(release) }) // after the stop, which startNeeding checks
	n := startNeeding(t, map[string]string{"MONGODB_URI": guard.URI(mongokit.DatabaseName(t)), "SHUTDOWN_TIMEOUT": "10s"})
	n.published("job-1", "first")
	n.until("the gateway is well", func() error {
		if state, parts := n.health(); state != "ready" {
			return fmt.Errorf("%s %v", state, parts)
		}
		return nil
	})
	var once sync.Once
	guard.Allow(func(string) bool {
		once.Do(func() { close(hung) })
		<-release
		return true
	})
	n.published("job-1", "second")
	select {
	case <-hung:
	case <-time.After(needPatience):
		t.Fatal("MongoDB is not asked for anything")
	}
}

// A typo in the name of the database is told from the start.
func TestNeedsOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	n := startNeeding(t, map[string]string{"MONGODB_URI": mongokit.URI() + "/typo"})
	n.until("health names it", func() error {
		state, parts := n.health()
		if state != "degraded" || !strings.Contains(parts["mongodb"], "see the name of the database in MONGODB_URI") {
			return fmt.Errorf("%s %v", state, parts)
		}
		return nil
	})
	during := n.get("/metrics")
	n.examined(outage{says: "MongoDB refuses to write to", area: "mongodb", do: "the name of the database in MONGODB_URI"}, "")
	t.Run("alert", func(t *testing.T) { checkAlert(t, `RealtimeNeedNotMet{leg="mongodb",cause="refused"}`, "", during) })
}

// A database that may be written and is not the one of the gateways is named by the doctor,
// which sees that their read models are elsewhere.
func TestDoctorNamesAnotherDatabase(t *testing.T) {
	t.Parallel()
	server, err := url.Parse(mongokit.URI())
	if err != nil {
		t.Fatal(err)
	}
	uri := func(database string) string { return "mongodb://" + server.Host + "/" + database }
	n := startNeeding(t, map[string]string{"MONGODB_URI": uri(mongokit.DatabaseName(t)), "NATS_LISTEN": "127.0.0.1:0"})
	n.published("job-1", "first")
	found := func(database string) (found doctor.Check) {
		t.Helper()
		cfg := n.cfg
		cfg.NATSURL, cfg.MongoDBURI = n.gateway.NATSURL(), uri(database)
		for _, check := range examine.Installation(t.Context(), cfg, nil, nil).Checks {
			if check.Name == "read models in "+database {
				found = check
			}
		}
		return found
	}
	n.until("the projections have the event", func() error {
		if check := found(mongokit.DatabaseName(t)); check.Level != doctor.OK {
			return fmt.Errorf("%+v", check)
		}
		return nil
	})
	n.until("another database is named", func() error {
		if check := found(mongokit.DatabaseName(t) + "-typo"); check.Level != doctor.Fail || !strings.Contains(check.Do, "MONGODB_URI") {
			return fmt.Errorf("%+v", check)
		}
		return nil
	})
}

// The role readWrite is enough for a gateway, for the doctor, and for a rebuild with its
// swap.
func TestLeastRoleOfMongoDB(t *testing.T) {
	t.Parallel()
	guard := mongokit.StartGuard(t)
	n := startNeeding(t, map[string]string{"MONGODB_URI": guard.URI(mongokit.DatabaseName(t)), "NATS_LISTEN": "127.0.0.1:0"})
	n.published("job-1", "first")
	n.until("the gateway is well", func() error { return n.well(nothing) })
	for _, check := range examine.Installation(t.Context(), n.cfg, nil, nil).Checks {
		if check.Area == "mongodb" && check.Level == doctor.Fail {
			t.Errorf("with the least role: %+v", check)
		}
	}
	cfg := n.cfg
	cfg.NATSURL = n.gateway.NATSURL()
	operator, err := operations.Open(t.Context(), cfg, false, config.NewLogger(n.log, cfg))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = operator.Close() }()
	rebuilds, err := operator.Rebuilds(t.Context(), nil, func(string, uint64, uint64) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, rebuild := range rebuilds {
		err := rebuild.Hold(t.Context(), "a test", "", func(ctx context.Context) error {
			if err := rebuild.Fill(ctx, false); err != nil {
				return err
			}
			_, err := rebuild.Swap(ctx, 0)
			return err
		})
		if err != nil {
			t.Errorf("rebuild: %v", err)
		}
	}
	n.until("the gateway is well", func() error { return n.well(nothing) })
	for _, line := range n.complaints(0) {
		if strings.Contains(line, "not authorized") {
			t.Error(line)
		}
	}
	t.Logf("used: %s", guard.Used())
}

package e2e_test

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	natsd "github.com/nats-io/nats-server/v2/server"
	"go.mongodb.org/mongo-driver/v2/mongo"
	mongooptions "go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/internal/devstack"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/messaging"
)

// leafPort returns where a server takes leaf nodes.
func leafPort(t *testing.T, server *natsd.Server) int {
	t.Helper()
	running, err := server.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	return running.LeafNode.Port
}

// TestLogInAnotherDomain: the gateway and the commands reach the log in the JetStream domain
// of a hub through a leaf node, which has no JetStream, or one of its own.
func TestLogInAnotherDomain(t *testing.T) {
	t.Parallel()
	for name, leaf := range map[string]natsd.Options{
		"leaf without JetStream":        {ServerName: "leaf"},
		"leaf with a JetStream, domain": {ServerName: "leaf", JetStream: true, JetStreamDomain: "edge"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := logkit.Server(t, natsd.Options{
				ServerName: "hub", JetStream: true, StoreDir: t.TempDir(), JetStreamDomain: "hub",
				LeafNode: natsd.LeafNodeOpts{Host: "127.0.0.1", Port: natsd.RANDOM_PORT},
			})
			leaf.LeafNode.Remotes = []*natsd.RemoteLeafOpts{{URLs: []*url.URL{{Scheme: "nats-leaf", Host: fmt.Sprintf("127.0.0.1:%d", leafPort(t, hub))}}}}
			if leaf.JetStream {
				leaf.StoreDir = t.TempDir()
			}
			edge := logkit.Server(t, leaf)
			eventually(t, "the leaf node is connected", func() error {
				if hub.NumLeafNodes() == 0 {
					return fmt.Errorf("no leaf node at the hub")
				}
				return nil
			})
			uri := startMongo(t)
			client, err := mongo.Connect(mongooptions.Client().ApplyURI(uri))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
			env := settings{
				"REDIS_URL": testkit.StartRedis(t).URL(), "MONGODB_URI": uri, "NATS_URL": edge.ClientURL(), "NATS_JS_DOMAIN": "hub",
				"SOCKET_CLUSTER_MAX_CONNECTIONS": "100", // the limits of all gateways need a bucket, too
			}
			o := &operated{t: t, gateway: startGateway(t, env), env: env, events: client.Database(devstack.Database).Collection("novel_job_events")}
			o.publish("job", 1, 40)
			o.projected()
			follower := o.subscribe("job", 1)
			for range 39 {
				follower.expect("novel.domain-event")
			}
			follower.expect(messaging.EventCaughtUp)
			o.publish("job", 41, 41)
			follower.expect("novel.domain-event")
			o.projected()
			o.command(0, nil, "projections", "rebuild")
			o.command(0, nil, "projections", "swap")
			o.command(0, nil, "projections", "verify")
			if jobs := o.get("/internal/api/v1/jobs"); !strings.Contains(jobs, `"job"`) {
				t.Errorf("the list of jobs is %s", jobs)
			}
			backup := filepath.Join(t.TempDir(), "backup")
			o.command(0, nil, "backup", backup)
			o.command(0, nil, "restore", backup, "--check")
			o.command(0, nil, "erase", "job", "--reason", "r")
			r := run(t, env, "", "doctor")
			if r.code != 0 {
				t.Errorf("doctor: status %d:\n%s%s", r.code, r.stdout, r.stderr)
			}
			eventually(t, "the gateway is healthy", func() error {
				if health := o.get("/health/ready"); !strings.Contains(health, `"pass"`) || strings.Contains(health, "degraded") {
					return fmt.Errorf("%s", health)
				}
				return nil
			})
			eventually(t, "the hub has the notes, and the states of the gateway and of the socket", func() error {
				account, err := hub.JszAccount(&natsd.JSzOptions{Account: natsd.DEFAULT_GLOBAL_ACCOUNT, Streams: true})
				if err != nil {
					return err
				}
				stored := make(map[string]uint64)
				for _, stream := range account.Streams {
					stored[stream.Name] = stream.State.Msgs
				}
				for _, name := range []string{"NOVEL_IDENTITY", "NOVEL_AUDIT", "KV_NOVEL_SESSIONS", "KV_NOVEL_GATEWAYS", "KV_NOVEL_OPERATIONS"} {
					if stored[name] == 0 {
						return fmt.Errorf("%s is empty: %v", name, stored)
					}
				}
				return nil
			})
			if edge.JetStreamEnabled() {
				if r := run(t, settings{"NATS_URL": edge.ClientURL()}, "", "log", "status"); r.code == 0 {
					t.Errorf("without the domain the log is found:\n%s", r.stdout)
				}
				if account, err := edge.JszAccount(&natsd.JSzOptions{Account: natsd.DEFAULT_GLOBAL_ACCOUNT, Streams: true}); err != nil || len(account.Streams) > 0 {
					t.Errorf("the leaf node has streams: %+v, %v", account, err)
				}
			}
		})
	}
}

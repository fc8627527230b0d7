package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// startCluster starts a process that holds the log and reads from Redis, and
// gateways that have nothing of their own.
func startCluster(t testing.TB, redisURL string, gateways int) []*gateway {
	t.Helper()
	log := startGateway(t, settings{"REDIS_URL": redisURL, "ROLES": "ingest", "NATS_LISTEN": "127.0.0.1:0"})
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

var errNotWritten = errors.New("its session is not on disk")

// onDisk waits until the gateway's files have the visitor's session with all its
// jobs. A server that is killed takes along what was saved in its last moments,
// which is for those to expect who kill it right away.
func (g *gateway) onDisk(v *visitor) {
	g.t.Helper()
	eventually(g.t, "the session is written", func() error {
		blocks, err := filepath.Glob(filepath.Join(g.env["DATA_DIR"], "jetstream", "*", "streams", "KV_NOVEL_SESSIONS", "msgs", "*.blk"))
		if err != nil {
			return err
		}
		for _, block := range blocks {
			content, err := os.ReadFile(block)
			if err != nil {
				return err
			}
			at := bytes.LastIndex(content, fmt.Appendf(nil, `{"sid":%q`, v.id))
			if at >= 0 && v.namedIn(content[at:]) {
				return nil
			}
		}
		return errNotWritten
	})
}

// namedIn reports whether a text has all jobs that the visitor follows.
func (v *visitor) namedIn(content []byte) bool {
	for _, j := range v.journals {
		if !bytes.Contains(content, fmt.Appendf(nil, `"jobId":%q`, j.jobID)) {
			return false
		}
	}
	return true
}

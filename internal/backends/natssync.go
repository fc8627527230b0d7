package backends

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// monitoringPort is the port for monitoring that NATS servers have by convention.
	monitoringPort = "8222"
	// monitoringTimeout bounds one question to such a port, and monitoringBytes its answer.
	monitoringTimeout = 2 * time.Second
	monitoringBytes   = 1 << 20
	// maxMonitored bounds the servers that are asked.
	maxMonitored = 16
)

// SyncRisk asks the monitoring ports of the servers of NATS_URL when they write the log to
// disk. Risk says what a loss of power can take, empty if the servers that answered sync each
// write. Err names the servers of which this is not known, and why. For an embedded server
// both are zero: NATS_SYNC is known.
func (n *NATS) SyncRisk(ctx context.Context) (risk string, err error) {
	if n.embedded != nil {
		return "", nil
	}
	places := n.monitoring()
	found := make([]string, len(places))
	errs := make([]error, len(places))
	var asking sync.WaitGroup
	for i, place := range places {
		asking.Go(func() { found[i], errs[i] = syncInterval(ctx, place) }) // ends within monitoringTimeout
	}
	asking.Wait()
	found = slices.DeleteFunc(found, func(text string) bool { return text == "" })
	if len(found) > 0 {
		risk = strings.Join(found, ", ") + ": a loss of power on every server with a copy takes the acknowledged events of that time"
	}
	return risk, errors.Join(errs...)
}

// monitoring returns the addresses of the monitoring ports.
func (n *NATS) monitoring() []string {
	var places []string
	if n.cfg.NATSMonitoring != "" {
		for place := range strings.SplitSeq(n.cfg.NATSMonitoring, ",") {
			places = append(places, strings.TrimSuffix(strings.TrimSpace(place), "/"))
		}
	} else {
		for _, server := range n.conn.Servers() {
			if u, err := url.Parse(server); err == nil && u.Hostname() != "" {
				places = append(places, "http://"+net.JoinHostPort(u.Hostname(), monitoringPort))
			}
		}
	}
	slices.Sort(places)
	places = slices.Compact(places)
	return places[:min(len(places), maxMonitored)]
}

// syncInterval asks one monitoring port. It returns "" if the server syncs each write, and
// otherwise the name of the server and its interval.
func syncInterval(ctx context.Context, place string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, monitoringTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place+"/varz", nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return "", err // It names the address.
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Name      string `json:"server_name"`
		JetStream struct {
			Config *struct {
				Interval time.Duration `json:"sync_interval"`
				Always   bool          `json:"sync_always"`
			} `json:"config"`
		} `json:"jetstream"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, monitoringBytes)).Decode(&answer)
	switch {
	case response.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%s/varz answers %s", place, response.Status)
	case err != nil:
		return "", fmt.Errorf("%s/varz: %w", place, err)
	case answer.JetStream.Config == nil || answer.JetStream.Config.Always:
		return "", nil // A server without JetStream has no copy.
	}
	return fmt.Sprintf("%.64q syncs every %s", answer.Name, answer.JetStream.Config.Interval), nil
}

package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// healthTimeout bounds one request for the health of a gateway.
	healthTimeout = 5 * time.Second
	// maxHealthBytes bounds how much of the answer is read.
	maxHealthBytes = 64 << 10
)

// Health is the answer of a gateway's health page.
type Health struct {
	Status string            `json:"status"`
	State  string            `json:"state"`
	Parts  map[string]string `json:"parts,omitempty"`
}

// CheckHealth requests a health page, such as /health/ready, from the gateway at url, such as
// http://127.0.0.1:3001, or unix: followed by the path of a UNIX socket. passed reports
// whether the status of the answer was 200. The error says why there was no valid answer.
// local says that the gateway is on this machine; its certificate is then not verified,
// because it is for another name.
func CheckHealth(ctx context.Context, url, page string, local bool) (health Health, passed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	path, onUnix := strings.CutPrefix(url, "unix:")
	if onUnix {
		url = "http://localhost"
	}
	url += page
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Health{}, false, err
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: local}, // #nosec G402 -- no other machine
	}
	if onUnix {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return Health{}, false, err
	}
	defer func() { _ = response.Body.Close() }() // only read from
	if err := json.NewDecoder(io.LimitReader(response.Body, maxHealthBytes)).Decode(&health); err != nil {
		return Health{}, false, fmt.Errorf("%s answers %s without a health report: %w", url, response.Status, err)
	}
	return health, response.StatusCode == http.StatusOK, nil
}

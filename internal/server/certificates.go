package server

import (
	"crypto/x509"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificates are those that the public port serves, for the metrics: the one from files, or
// one for each host of ACME_HOSTS.
type certificates struct {
	mu sync.Mutex // guards served
	// served returns the certificate of each host, and nil while there is none. The
	// certificate from files has the host "".
	served map[string]func() *x509.Certificate
}

func newCertificates(registerer prometheus.Registerer) (*certificates, error) {
	c := &certificates{served: make(map[string]func() *x509.Certificate)}
	return c, errors.Join(
		registerer.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "realtime_app_certificate_remaining_seconds",
			Help: "Until the certificate of the public port ends, or the first of them; 0 while a host has none, and +Inf without TLS.",
		}, func() float64 { remaining, _ := c.first(time.Now()); return remaining })),
		registerer.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "realtime_app_certificate_lifetime_seconds",
			Help: "From the beginning to the end of the certificate of the public port that ends first; +Inf without one.",
		}, func() float64 { _, lifetime := c.first(time.Now()); return lifetime })),
	)
}

// serve adds the certificate of a host, or replaces it. It is asked for at each scrape.
func (c *certificates) serve(host string, leaf func() *x509.Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served[host] = leaf
}

// first returns how long the certificate that ends first lasts from now on, 0 at least, and
// how long it lasts in all.
func (c *certificates) first(now time.Time) (remaining, lifetime float64) {
	c.mu.Lock()
	var asked []func() *x509.Certificate
	for _, leaf := range c.served {
		asked = append(asked, leaf)
	}
	c.mu.Unlock()
	remaining, lifetime = math.Inf(1), math.Inf(1)
	for _, ask := range asked {
		leaf := ask()
		switch {
		case leaf == nil:
			return 0, math.Inf(1)
		case leaf.NotAfter.Sub(now).Seconds() < remaining:
			remaining, lifetime = max(leaf.NotAfter.Sub(now).Seconds(), 0), leaf.NotAfter.Sub(leaf.NotBefore).Seconds()
		}
	}
	return remaining, lifetime
}

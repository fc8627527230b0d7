package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// certificateLasts returns a metric of the certificate of the public port.
func (n *needing) certificateLasts(metric string) time.Duration {
	n.t.Helper()
	var seconds float64
	_, line, _ := strings.Cut(n.get("/metrics"), "\nrealtime_app_certificate_"+metric+"_seconds ")
	if _, err := fmt.Sscan(line, &seconds); err != nil {
		n.t.Fatal(err)
	}
	return time.Duration(seconds) * time.Second
}

// The metrics have the end of the certificate that a handshake gets, also of one that was
// replaced, and one that ends soon is an alert. One that is meant to last for a few days
// is none at its beginning.
func TestCertificateThatEnds(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	authority := testkit.NewAuthority(t)
	issue := func(past, left time.Duration) (cert, key string) {
		return authority.IssueBetween("gateway", time.Now().Add(-past), time.Now().Add(left))
	}
	cert, key := issue(0, 90*day)
	admin := testkit.FreeAddr(t)
	n := startNeeding(t, map[string]string{"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key, "ADMIN_ADDR": admin})
	n.url = "http://" + admin
	served := func(past, left time.Duration) {
		t.Helper()
		n.until("the certificate is served", func() error {
			has, lasts := n.certificateLasts("remaining"), n.certificateLasts("lifetime")
			if has > left || has < left-time.Hour || lasts.Round(time.Hour) != past+left {
				return fmt.Errorf("%s of %s are left, want %s of %s", has, lasts, left, past+left)
			}
			return nil
		})
	}
	served(0, 90*day)
	issue(0, 6*day)
	served(0, 6*day)
	before := n.get("/metrics")
	issue(85*day, 5*day)
	served(85*day, 5*day)
	checkAlert(t, "RealtimeCertificateEnds", before, n.get("/metrics"))
}

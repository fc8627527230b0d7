package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
	"github.com/letswriteabook/realtime/internal/wait"
)

const (
	// acmeRequestTimeout bounds one request to the authority.
	acmeRequestTimeout = 30 * time.Second
	// acmeRetry is how long a gateway waits before it asks again for a certificate that the
	// authority refused. Public ones count failures by the hour.
	acmeRetry = 15 * time.Minute
	// acmeLook is how often a gateway looks at how long its certificates last.
	acmeLook = time.Hour
	// acmeLate is how long before its end a certificate is renewed late: the manager begins
	// 30 days before, tries again by itself, and logs no failure.
	acmeLate = 20 * 24 * time.Hour
)

// openACME returns the settings of a server whose certificates an authority issues and
// renews over ACME (RFC 8555). The authority looks for its answer on the public port itself
// (tls-alpn-01, RFC 8737), so nothing else has to be reachable.
func (a *App) openACME() (*tls.Config, error) {
	hosts := a.cfg.ACMEHostNames()
	authority, err := tlsfiles.Files{CA: a.cfg.ACMECA}.Client()
	if err != nil {
		return nil, fmt.Errorf("%w: ACME_CA_FILE: %w", config.ErrInvalid, err)
	}
	manager := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(a.cfg.ACMECache), HostPolicy: autocert.HostWhitelist(hosts...), Email: a.cfg.ACMEEmail,
		Client: &acme.Client{
			DirectoryURL: a.cfg.ACMEDirectory, UserAgent: "realtime",
			HTTPClient: &http.Client{Timeout: acmeRequestTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: authority}},
		},
	}
	a.acme = func(ctx context.Context) error { return a.obtainCertificates(ctx, manager, hosts) }
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1", acme.ALPNProto},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			// Health checks and others that use the address send no name, or that of this machine.
			if hello.ServerName == "" || hello.ServerName == "localhost" {
				hello.ServerName = hosts[0]
			}
			return manager.GetCertificate(hello)
		},
	}, nil
}

// obtainCertificates gets a certificate for each host, so that the first client does not
// wait for it. Those that are in the folder are used; the manager renews them by itself, and
// one that it did not renew in time is logged once a day.
func (a *App) obtainCertificates(ctx context.Context, manager *autocert.Manager, hosts []string) error {
	look := certificateLook{ends: make(map[string]time.Time), told: make(map[string]time.Time)}
	for _, host := range hosts {
		a.certificates.serve(host, func() *x509.Certificate { return nil })
	}
	for {
		missing := false
		for _, host := range hosts {
			certificate, err := manager.GetCertificate(&tls.ClientHelloInfo{
				ServerName: host, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
			})
			if err != nil {
				missing = true
				a.logger.Error("there is no certificate for a host", "host", host, "error", err, "again", acmeRetry)
				continue
			}
			a.certificates.serve(host, func() *x509.Certificate { return certificate.Leaf })
			look.at(a.logger, host, certificate.Leaf, time.Now())
		}
		pause := acmeLook
		if missing {
			pause = acmeRetry
		}
		if wait.For(ctx, pause) != nil {
			return nil
		}
	}
}

// certificateLook has what was logged of the certificates of hosts: when they end, and when
// a late renewal was logged.
type certificateLook struct{ ends, told map[string]time.Time }

// at logs a certificate that is new, and one that should have been renewed: of one that is
// valid for a shorter time than the manager expects, half of that time is left.
func (l certificateLook) at(logger *slog.Logger, host string, leaf *x509.Certificate, now time.Time) {
	if !l.ends[host].Equal(leaf.NotAfter) {
		l.ends[host] = leaf.NotAfter
		logger.Info("there is a certificate for a host", "host", host, "until", leaf.NotAfter)
	}
	late := min(acmeLate, leaf.NotAfter.Sub(leaf.NotBefore)/2)
	if leaf.NotAfter.Sub(now) > late || now.Sub(l.told[host]) < 24*time.Hour {
		return
	}
	l.told[host] = now
	logger.Error("a certificate is not renewed: see that the authority answers, and reaches the public port as port 443 of the host",
		"host", host, "until", leaf.NotAfter)
}

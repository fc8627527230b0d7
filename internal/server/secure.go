package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/pires/go-proxyproto"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// secure adds to the public port what the settings ask for: the PROXY protocol, and TLS
// behind it.
func (a *App) secure(listener net.Listener) (net.Listener, error) {
	if a.cfg.ProxyProto {
		proxies, err := guardrails.ParseProxies(a.cfg.TrustedProxies)
		if err != nil {
			return nil, fmt.Errorf("%w: TRUSTED_PROXIES: %w", config.ErrInvalid, err)
		}
		listener = &proxyproto.Listener{
			Listener: listener, ReadHeaderTimeout: a.cfg.HandshakeTimeout,
			ConnPolicy: func(by proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
				if isProxy(by.Upstream, proxies) {
					return proxyproto.REQUIRE, nil
				}
				return proxyproto.REJECT, proxyproto.ErrInvalidUpstream // closes this one connection
			},
		}
	}
	if a.cfg.ACMEHosts != "" {
		settings, err := a.openACME()
		if err != nil {
			return nil, err
		}
		return tls.NewListener(listener, settings), nil
	}
	if a.cfg.TLSCert == "" {
		return listener, nil
	}
	certificate, err := tlsfiles.NewPair(a.cfg.ServerTLS(), a.logger)
	if err != nil {
		return nil, fmt.Errorf("%w: TLS_CERT_FILE: %w", config.ErrInvalid, err)
	}
	a.reloads.follow(certificate)
	a.certificates.serve("", certificate.Leaf)
	return tls.NewListener(listener, certificate.Server()), nil
}

// isProxy reports whether an address is one of the proxies'.
func isProxy(address net.Addr, proxies []netip.Prefix) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && slices.ContainsFunc(proxies, func(network netip.Prefix) bool { return network.Contains(tcp.AddrPort().Addr().Unmap()) })
}

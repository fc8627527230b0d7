package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
)

// environmentProduction is the ENVIRONMENT in which what leaves the service open
// is refused.
const environmentProduction = "production"

// conflict is a pair of settings that are good alone and make no sense together.
type conflict struct {
	text string
	// legal ones are told and do no harm that an operator could not want.
	legal bool
}

// Warnings are the sentences about settings that are legal together and are
// seldom meant. They are told once at start.
func (c Config) Warnings() []string {
	var warnings []string
	for _, conflict := range c.conflicts() {
		if conflict.legal {
			warnings = append(warnings, conflict.text)
		}
	}
	return warnings
}

// conflicts lists what contradicts what. Every setting is valid alone.
func (c Config) conflicts() []conflict {
	var found []conflict
	add := func(is, legal bool, format string, args ...any) {
		if is {
			found = append(found, conflict{text: fmt.Sprintf(format, args...), legal: legal})
		}
	}
	c.conflictingCaps(add)
	c.openDoors(add)
	c.conflictingTokens(add)
	c.conflictingTimes(add)
	c.conflictingCredentials(add)
	c.conflictingAddresses(add)
	alone := c.NATSURL == "" && c.NATSListen == "" && c.NATSCluster == ""
	add(len(c.Roles) < len(allRoles) && alone, true,
		"ROLES is %s, and neither NATS_URL nor NATS_LISTEN is set: the log inside this process is not shared with processes that have the other roles", strings.Join(c.Roles, ","))
	add(c.NATSURL != "" && c.NATSListen != "", true,
		"NATS_LISTEN is %q and has no effect: NATS_URL is set, so that no JetStream runs inside this process", c.NATSListen)
	add(int64(c.MaxMessage) > c.MaxPayload && !isDefault("SOCKET_MAX_MESSAGE_BYTES", c.MaxMessage), false,
		"SOCKET_MAX_MESSAGE_BYTES is %d, above SOCKET_MAX_PAYLOAD_BYTES, %d: the connection is closed before the message could be refused", c.MaxMessage, c.MaxPayload)
	return found
}

// conflictingCaps finds caps that can never be met.
func (c Config) conflictingCaps(add func(is, legal bool, format string, args ...any)) {
	_, onUnix := c.UnixSocket()
	add(onUnix && c.SpeaksTLS(), false, "LISTEN is a UNIX socket, and TLS_CERT_FILE or ACME_HOSTS is set: TLS ends at the proxy in front of it")
	add(c.H2C && c.SpeaksTLS(), false, "HTTP_H2C is true, and TLS_CERT_FILE or ACME_HOSTS is set: h2c is HTTP/2 without TLS")
	add(c.ACMEHosts != "" && c.TLSCert != "", false, "ACME_HOSTS and TLS_CERT_FILE are set: the certificate comes from an authority or from a file")
	if c.MaxCluster > 0 {
		add(c.MaxConns > c.MaxCluster, false, "SOCKET_MAX_CONNECTIONS is %d, above SOCKET_CLUSTER_MAX_CONNECTIONS, %d: it can never be met", c.MaxConns, c.MaxCluster)
		add(c.MaxClusterPer > c.MaxCluster, false,
			"SOCKET_CLUSTER_MAX_CONNECTIONS_PER_ORIGIN is %d, above SOCKET_CLUSTER_MAX_CONNECTIONS, %d: it can never be met", c.MaxClusterPer, c.MaxCluster)
	}
	add((c.MaxCluster > 0 || c.MaxClusterPer > 0) && c.NATSURL == "" && c.NATSListen == "" && c.NATSCluster == "", true,
		"SOCKET_CLUSTER_MAX_CONNECTIONS is set, and neither NATS_URL nor NATS_LISTEN is: the log inside this process has no other gateway")
	add(c.MaxClusterPer > 0 && c.MaxPerOrigin > c.MaxClusterPer, false,
		"SOCKET_MAX_CONNECTIONS_PER_ORIGIN is %d, above SOCKET_CLUSTER_MAX_CONNECTIONS_PER_ORIGIN, %d: it can never be met", c.MaxPerOrigin, c.MaxClusterPer)
	add(c.MaxRequests > 0 && c.MaxRequestsPer > c.MaxRequests, false,
		"REST_MAX_REQUESTS_PER_CLIENT is %d, above REST_MAX_REQUESTS, %d: it can never be met", c.MaxRequestsPer, c.MaxRequests)
	total, name := c.MaxConns, "SOCKET_MAX_CONNECTIONS"
	if total == 0 {
		total, name = c.MaxCluster, "SOCKET_CLUSTER_MAX_CONNECTIONS"
	}
	if total == 0 {
		return
	}
	for _, part := range []struct {
		name  string
		value int
	}{
		{"SOCKET_MAX_CONNECTIONS_PER_ORIGIN", c.MaxPerOrigin},
		{"SOCKET_MAX_CONNECTIONS_PER_IP", c.MaxPerAddress},
		{"SOCKET_MAX_CONNECTIONS_PER_SUBJECT", c.MaxPerSubject},
	} {
		add(part.value > total, false, "%s is %d, above %s, %d: it can never be met", part.name, part.value, name, total)
	}
}

// openDoors finds what lets in everybody. It is refused in production.
func (c Config) openDoors(add func(is, legal bool, format string, args ...any)) {
	legal := c.Environment != environmentProduction
	origins, _ := guardrails.ParseOrigins(c.Origins, c.NeedOrigin) // valid
	add(origins.Any() && !c.WithTokens(), legal,
		"SOCKET_CLIENT_ORIGIN is * and tokens are off: every page of every site may follow every job; list the origins, or set AUTH_JWKS_URL")
	add(c.NATSListen != "" && c.NATSURL == "" && !loopback(c.NATSListen) && !c.guardsNATS(), legal,
		"NATS_LISTEN is %q: every client that reaches it can read and write the log without a password; set NATS_USER or NATS_TLS_CA_FILE, listen on 127.0.0.1, or run NATS apart", c.NATSListen)
	add(c.NATSCluster != "" && c.NATSURL == "" && !loopback(c.NATSClusterListen) && !c.guardsNATS(), legal,
		"NATS_CLUSTER_LISTEN is %q: every client that reaches it can read and write the log without a password; set NATS_USER or NATS_TLS_CA_FILE", c.NATSClusterListen)
	for _, scope := range []struct{ name, value string }{{"ADMIN_READ_SCOPE", c.ReadScope}, {"ADMIN_OPERATE_SCOPE", c.OperateScope}} {
		add(scope.value != "" && c.AdminAddr == "", true,
			"%s is set and ADMIN_ADDR is empty: a client's token with the scope %q has a role of the operators' API on the public port; set ADMIN_ADDR", scope.name, scope.value)
	}
}

// closed lists what no client can reach with these settings, and which setting opens it.
func (c Config) Closed() []string {
	if c.TrustsLocal() || c.InternalToken != "" {
		return nil
	}
	var sentences []string
	if c.AdminAddr == "" {
		sentences = append(sentences, "the operators' pages are closed to everybody: set ADMIN_ADDR, or INTERNAL_TOKEN")
	}
	if c.Has(RoleIngest) && !c.WithTokens() {
		sentences = append(sentences, "publishing over HTTP is closed to everybody: set INTERNAL_TOKEN, or AUTH_JWKS_URL for tokens with the scope publish")
	}
	return sentences
}

// WithTokens reports whether clients need a token.
func (c Config) WithTokens() bool {
	return c.JWKSURL != "" || c.HMACSecret != ""
}

// conflictingTokens finds tokens that are half configured.
func (c Config) conflictingTokens(add func(is, legal bool, format string, args ...any)) {
	sources := 0
	for _, source := range []string{c.JWKSURL, c.HMACSecret} {
		if source != "" {
			sources++
		}
	}
	add(sources > 1, false, "more than one of AUTH_JWKS_URL and AUTH_HMAC_SECRET is set: the keys of tokens come from one place")
	add(sources == 0 && (c.TokenIssuer != "" || c.TokenAudience != ""), false,
		"AUTH_ISSUER or AUTH_AUDIENCE is set without AUTH_JWKS_URL, AUTH_HMAC_SECRET or AUTH_HMAC_SECRET_FILE: tokens would not be checked")
	add(sources > 0 && (c.TokenIssuer == "" || c.TokenAudience == ""), false,
		"tokens are on, and AUTH_ISSUER or AUTH_AUDIENCE is empty: a token of any issuer, or for any other service, would count")
	add(sources == 0 && c.MaxPerSubject > 0, true,
		"SOCKET_MAX_CONNECTIONS_PER_SUBJECT is %d and has no effect: without tokens no client has a subject", c.MaxPerSubject)
}

// conflictingTimes finds durations that defeat each other.
func (c Config) conflictingTimes(add func(is, legal bool, format string, args ...any)) {
	add(c.LogMaxAge > 0 && c.LogMaxAge < c.RecoveryTTL, true,
		"STREAM_MAX_AGE is %s, below SOCKET_RECOVERY_TTL, %s: a session can come back to events that are gone", c.LogMaxAge, c.RecoveryTTL)
	idle := time.Duration(c.IdleMs) * time.Millisecond
	add(idle > 0 && idle < time.Second, true,
		"SOCKET_IDLE_TIMEOUT_MS is %d: a client would have to send a ping more than once a second to stay", c.IdleMs)
}

// loopback reports whether an address to listen on is reached from this machine
// only.
func loopback(address string) bool {
	parsed, err := netip.ParseAddrPort(address)
	return err == nil && parsed.Addr().IsLoopback() || strings.HasPrefix(address, "localhost:")
}

// TrustsLocal reports whether being on this machine is enough to be an operator and a
// producer: on a developer's machine, where none of the settings of a deployment is. LISTEN
// and HTTP_H2C are for a proxy, through which every client comes from this machine.
func (c Config) TrustsLocal() bool {
	return c.InternalToken == "" && c.AdminAddr == "" && c.TrustedProxies == "" && c.Listen == "" && !c.H2C && c.Environment != environmentProduction
}

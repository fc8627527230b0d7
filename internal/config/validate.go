package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/internal/address"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/redisdial"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
	"github.com/letswriteabook/realtime/projections"
)

// Validate names every setting that is out of its range, and then those that
// contradict each other, or name files that cannot be used.
func (c Config) Validate() error { return c.validate(atStart) }

// occasion is when settings are validated.
type occasion int

const (
	atStart occasion = iota
	// atReload leaves out the files that only a start reads.
	atReload
)

func (c Config) validate(when occasion) error {
	var problems []error
	check := func(ok bool, name string, value any) {
		if !ok {
			problems = append(problems, Wrong(name, fmt.Sprint(value)))
		}
	}
	check(c.Port >= 0 && c.Port <= 65535, "PORT", c.Port)
	_, isUnix := c.UnixSocket()
	check(c.Listen == "" || isUnix, "LISTEN", c.Listen)
	_, err := c.SocketMode()
	check(err == nil, "LISTEN_MODE", c.ListenMode)
	check(areACMEHosts(c.ACMEHostNames()) && (c.ACMEHosts == "" || len(c.ACMEHostNames()) > 0), "ACME_HOSTS", c.ACMEHosts)
	check(hasScheme(c.ACMEDirectory, "https"), "ACME_DIRECTORY_URL", c.ACMEDirectory)
	check(c.ACMEHosts == "" || c.ACMECache != "", "ACME_CACHE_DIR", c.ACMECache)
	check(c.Environment == "development" || c.Environment == environmentProduction, "ENVIRONMENT", c.Environment)
	check(isBasePath(c.BasePath), "BASE_PATH", c.BasePath)
	check(c.AdminAddr == "" || isHostPort(c.AdminAddr), "ADMIN_ADDR", c.AdminAddr)
	check(c.InternalToken == "" || len(c.InternalToken) >= 16, "INTERNAL_TOKEN", c.InternalToken)
	check(c.RevocationsKept >= time.Minute && c.RevocationsKept <= 87600*time.Hour, "REVOCATIONS_KEPT", c.RevocationsKept)
	check(c.ReadToken == "" || len(c.ReadToken) >= 16 && c.ReadToken != c.InternalToken, "ADMIN_READ_TOKEN", c.ReadToken)
	check(!strings.ContainsAny(c.ReadScope, " \t") && (c.ReadScope == "" || c.ReadScope != c.OperateScope), "ADMIN_READ_SCOPE", c.ReadScope)
	check(!strings.ContainsAny(c.OperateScope, " \t"), "ADMIN_OPERATE_SCOPE", c.OperateScope)
	check(c.GatewayName == "" || isGatewayName(c.GatewayName), "GATEWAY_NAME", c.GatewayName)
	check(c.RecorderBytes == 0 || c.RecorderBytes >= 1<<20 && c.RecorderBytes <= 1<<30, "FLIGHT_RECORDER_BYTES", c.RecorderBytes)
	check(c.RecorderEvents >= 1 && c.RecorderEvents <= 10_000_000, "FLIGHT_RECORDER_EVENTS", c.RecorderEvents)
	check(c.ReceiptSecret == "" || len(c.ReceiptSecret) >= 16, "RECEIPT_SECRET", c.ReceiptSecret)
	check(c.RedisURL == "" || hasScheme(c.RedisURL, "redis", "rediss") && address.Check(c.RedisURL) == nil && c.isRedisURL(), "REDIS_URL", c.RedisURL)
	check(slices.Contains(redisdial.Modes, c.Redis().Mode), "REDIS_MODE", c.RedisMode)
	switch wrong := c.checkMongoFiles(); {
	case len(wrong) > 0 && when == atStart:
		problems = append(problems, wrong...) // the driver refuses the address for them, too
	case len(wrong) == 0:
		check(c.MongoDBURI == "" || projections.CheckURI(c.MongoDBURI) == nil, "MONGODB_URI", c.MongoDBURI)
	}
	for server := range strings.SplitSeq(c.NATSURL, ",") {
		check(c.NATSURL == "" || hasScheme(server, "nats", "tls", "ws", "wss") && address.Check(c.NATSURL) == nil, "NATS_URL", c.NATSURL)
	}
	check(c.NATSDomain == "" || isDomain(c.NATSDomain), "NATS_JS_DOMAIN", c.NATSDomain)
	check(c.CanaryInterval >= minTimeout && c.CanaryInterval <= time.Hour, "CANARY_INTERVAL", c.CanaryInterval)
	check(len(c.Roles) > 0 && !slices.ContainsFunc(c.Roles, func(role string) bool { return !slices.Contains(allRoles, role) }), "ROLES", strings.Join(c.Roles, ","))
	for place := range strings.SplitSeq(c.NATSMonitoring, ",") {
		u, err := url.Parse(strings.TrimSpace(place))
		check(c.NATSMonitoring == "" || err == nil && u.User == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"), "NATS_MONITORING_URL", c.NATSMonitoring)
	}
	check(c.DataDir != "" || c.NATSURL != "", "DATA_DIR", c.DataDir)
	_, err = c.SyncInterval()
	check(err == nil, "NATS_SYNC", c.NATSSync)
	check(c.NATSListen == "" || isHostPort(c.NATSListen), "NATS_LISTEN", c.NATSListen)
	check(slices.Contains([]int{1, 3, 5}, c.LogReplicas) && (c.LogReplicas == 1 || c.NATSURL != "" || c.NATSCluster != ""), "STREAM_REPLICAS", c.LogReplicas)
	for place := range strings.SplitSeq(c.NATSCluster, ",") {
		place = strings.TrimSpace(place)
		check(c.NATSCluster == "" || isHostPort(place) && !strings.HasSuffix(place, ":0"), "NATS_CLUSTER", c.NATSCluster)
	}
	check(strings.Count(c.NATSCluster, ",") < natsserver.MaxRoutes, "NATS_CLUSTER", c.NATSCluster)
	check(isHostPort(c.NATSClusterListen) && !strings.HasSuffix(c.NATSClusterListen, ":0"), "NATS_CLUSTER_LISTEN", c.NATSClusterListen)
	check(!strings.ContainsAny(c.NATSNode, " \t\r\n.*>"), "NATS_NODE", c.NATSNode)
	c.checkStream(check)
	check(c.MaxEvent > 0 && c.MaxEvent < natsserver.MaxPayloadBytes, "MAX_EVENT_BYTES", c.MaxEvent)
	problems = append(problems, c.checkOrigins()...)
	check(c.MaxConns >= 0, "SOCKET_MAX_CONNECTIONS", c.MaxConns)
	check(c.MaxPerOrigin >= 0, "SOCKET_MAX_CONNECTIONS_PER_ORIGIN", c.MaxPerOrigin)
	check(c.MaxSubs >= 1, "SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT", c.MaxSubs)
	check(c.IdleMs >= 0, "SOCKET_IDLE_TIMEOUT_MS", c.IdleMs)
	check(c.CatchUp >= 1 && c.CatchUp <= 10_000, "SOCKET_CATCH_UP_LIMIT", c.CatchUp)
	check(c.RecoveryTTL == 0 || c.RecoveryTTL >= time.Second, "SOCKET_RECOVERY_TTL", c.RecoveryTTL)
	check(slices.Contains([]string{"auto", "all", "asked"}, c.RecoveryFor), "SOCKET_RECOVERY_CLIENTS", c.RecoveryFor)
	check(slices.Contains([]string{"off", "pages", "all"}, c.Compression), "HTTP_COMPRESSION", c.Compression)
	check(c.MaxPerAddress >= 0, "SOCKET_MAX_CONNECTIONS_PER_IP", c.MaxPerAddress)
	check(c.MaxPerSubject >= 0, "SOCKET_MAX_CONNECTIONS_PER_SUBJECT", c.MaxPerSubject)
	check(c.MaxCluster >= 0, "SOCKET_CLUSTER_MAX_CONNECTIONS", c.MaxCluster)
	check(c.MaxClusterPer >= 0, "SOCKET_CLUSTER_MAX_CONNECTIONS_PER_ORIGIN", c.MaxClusterPer)
	check(isRate(c.ConnsPerSecond), "SOCKET_CONNECTIONS_PER_SECOND", c.ConnsPerSecond)
	c.checkTransport(check)
	check(isRate(c.MsgsPerSecond), "SOCKET_MESSAGES_PER_SECOND", c.MsgsPerSecond)
	check(isRate(c.SubsPerMinute), "SOCKET_SUBSCRIPTION_CHANGES_PER_MINUTE", c.SubsPerMinute)
	check(c.MaxRequests >= 0, "REST_MAX_REQUESTS", c.MaxRequests)
	check(c.MaxRequestsPer >= 0, "REST_MAX_REQUESTS_PER_CLIENT", c.MaxRequestsPer)
	check(c.ReqsPerMinute >= 0 && c.ReqsPerMinute <= 6*maxRate, "REST_REQUESTS_PER_MINUTE", c.ReqsPerMinute)
	check(c.MaxAnswers >= minAnswerBytes, "REST_MAX_ANSWER_BYTES", c.MaxAnswers)
	check(c.HistoryCache >= 0, "HISTORY_CACHE_BYTES", c.HistoryCache)
	_, err = guardrails.ParseProxies(c.TrustedProxies)
	check(err == nil, "TRUSTED_PROXIES", c.TrustedProxies)
	c.checkTraces(check)
	check(c.DrainSeconds >= 0, "DRAIN_SECONDS", c.DrainSeconds)
	var level slog.Level
	check(level.UnmarshalText([]byte(c.LogLevel)) == nil, "LOG_LEVEL", c.LogLevel)
	check(c.LogFormat == "json" || c.LogFormat == "text", "LOG_FORMAT", c.LogFormat)
	check(c.ShutdownTimeout >= minTimeout, "SHUTDOWN_TIMEOUT", c.ShutdownTimeout)
	if len(problems) == 0 {
		for _, conflict := range c.conflicts() {
			if !conflict.legal {
				problems = append(problems, errors.New(conflict.text))
			}
		}
	}
	if len(problems) == 0 {
		problems = c.checkFiles(when)
	}
	if len(problems) > 0 {
		return invalid(problems)
	}
	return nil
}

// checkFiles checks what is in files of this machine, and the settings of tokens: all
// that the start, or a reload, would refuse without asking a server.
func (c Config) checkFiles(when occasion) (problems []error) {
	if _, err := LoadCatalogue(c); err != nil {
		problems = append(problems, err)
	}
	if _, _, err := c.Tokens(); err != nil {
		problems = append(problems, err)
	}
	if when == atStart {
		problems = append(problems, c.checkCredentials()...)
	}
	return problems
}

// isGatewayName reports whether a text can name a gateway in labels, logs and messages.
func isGatewayName(name string) bool {
	return len(name) <= 100 && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '.' && c != '-' && c != '_'
	})
}

// isRedisURL reports whether the address is one for REDIS_MODE.
func (c Config) isRedisURL() bool {
	place := c.Redis()
	if !slices.Contains(redisdial.Modes, place.Mode) {
		place.Mode = redisdial.Single
	}
	if place.MasterName == "" {
		place.MasterName = "any" // its absence is named elsewhere
	}
	place.TLS = tlsfiles.Files{}
	return place.Check() == nil
}

// checkOrigins says what is wrong with the origins in more words than the meaning
// of the setting: one that looks right may be one that no browser sends.
func (c Config) checkOrigins() (problems []error) {
	origins, err := guardrails.ParseOrigins(c.Origins, c.NeedOrigin)
	if err != nil {
		problems = append(problems, fmt.Errorf("SOCKET_CLIENT_ORIGIN is %q: %w", c.Origins, err))
	}
	if _, err := origins.WithOwn(c.PublicURL); err != nil {
		problems = append(problems, fmt.Errorf("PUBLIC_URL is %q: %w", c.PublicURL, err))
	}
	return problems
}

// The bounds of what may be asked of one connection, in bytes.
const (
	minPayloadBytes  = 1 << 10
	minOutgoingBytes = 16 << 10
	maxSocketBytes   = 64 << 20
	// minAnswerBytes is room for one page.
	minAnswerBytes = 2 << 20
	// minTimeout is the shortest time that a client on a slow line can keep.
	minTimeout = 100 * time.Millisecond
)

// checkTransport checks what the transport of the sockets is given.
func (c Config) checkTransport(check func(ok bool, name string, value any)) {
	check(c.MaxMessage >= 0, "SOCKET_MAX_MESSAGE_BYTES", c.MaxMessage)
	check(c.BytesPerSecond >= 0 && c.BytesPerSecond <= maxSocketBytes, "SOCKET_BYTES_PER_SECOND", c.BytesPerSecond)
	check(c.MaxPayload >= minPayloadBytes && c.MaxPayload <= maxSocketBytes, "SOCKET_MAX_PAYLOAD_BYTES", c.MaxPayload)
	check(c.MaxOutgoing >= minOutgoingBytes && c.MaxOutgoing <= maxSocketBytes, "SOCKET_MAX_OUTGOING_BYTES", c.MaxOutgoing)
	check(c.HandshakeTimeout >= minTimeout, "SOCKET_HANDSHAKE_TIMEOUT", c.HandshakeTimeout)
	check(c.BodyTimeout >= minTimeout, "HTTP_BODY_TIMEOUT", c.BodyTimeout)
	check(c.ConnectTimeout >= minTimeout, "SOCKET_CONNECT_TIMEOUT", c.ConnectTimeout)
}

// checkStream asks the event store about each of its limits alone, so that the
// setting that is wrong can be named.
func (c Config) checkStream(check func(ok bool, name string, value any)) {
	limits := eventstore.DefaultConfig()
	limits.MaxBytes = c.LogMaxBytes
	check(limits.Validate() == nil && c.LogMaxBytes <= natsserver.MaxLogBytes, "STREAM_MAX_BYTES", c.LogMaxBytes)
	limits = eventstore.DefaultConfig()
	limits.DuplicateWindow = c.DedupWindow
	check(limits.Validate() == nil, "STREAM_DEDUP_WINDOW", c.DedupWindow)
	limits.MaxAge = c.LogMaxAge
	check(limits.Validate() == nil, "STREAM_MAX_AGE", c.LogMaxAge)
	check(c.KnownIDs >= 0, "STREAM_KNOWN_IDS", c.KnownIDs)
}

// maxDomainBytes bounds the name of a JetStream domain.
const maxDomainBytes = 128

// isDomain reports whether a name can be a JetStream domain, which is one token of a subject.
func isDomain(name string) bool {
	return len(name) <= maxDomainBytes && !strings.ContainsFunc(name, func(r rune) bool {
		return strings.ContainsRune(".*>", r) || unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

// maxRate is the largest rate that guardrails count with.
const maxRate = 1_000_000

func isRate(rate int) bool { return rate >= 0 && rate <= maxRate }

// isBasePath reports whether a path can be stripped from a request's: it is clean,
// and nothing in it is escaped.
func isBasePath(base string) bool {
	trimmed := strings.TrimRight(base, "/")
	return base == "" || trimmed != "" && path.Clean(trimmed) == trimmed && trimmed[0] == '/' && (&url.URL{Path: trimmed}).EscapedPath() == trimmed
}

func isHostPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number <= 65535
}

func hasScheme(address string, schemes ...string) bool {
	u, err := url.Parse(strings.TrimSpace(address))
	return err == nil && u.Host != "" && slices.Contains(schemes, u.Scheme)
}

// invalid returns an error that matches [ErrInvalid] for what is wrong with settings, and says
// so once, also where a problem matches it itself.
func invalid(problems []error) error {
	texts := make([]error, 0, len(problems))
	for _, problem := range problems {
		if text, marked := strings.CutPrefix(problem.Error(), ErrInvalid.Error()+": "); marked {
			problem = errors.New(text)
		}
		texts = append(texts, problem)
	}
	return fmt.Errorf("%w: %w", ErrInvalid, address.Mask(errors.Join(texts...)))
}

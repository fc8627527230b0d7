package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/internal/natsserver"
)

// ErrConfig is matched by every error about a setting. A retry does not help.
var ErrConfig = errors.New("invalid settings")

// Config holds the settings of the server, one environment variable each. The
// tags are the single place for a variable's name, default and meaning.
type Config struct {
	Host string `env:"HOST" doc:"address to listen on; empty: every interface"`
	Port int    `env:"PORT" envDefault:"3001" doc:"HTTP port, 0 to 65535; 0 picks a free one"`

	AdminAddr     string `env:"ADMIN_ADDR" doc:"host:port for the operators' pages; empty: they are on the public port, for requests from this machine or with INTERNAL_TOKEN"`
	InternalToken string `env:"INTERNAL_TOKEN" secret:"value" doc:"bearer token for the operators' pages and for publishing over HTTP, at least 16 characters; empty: from this machine only"`

	RedisURL   string `env:"REDIS_URL" secret:"url" doc:"Redis that workers publish to, redis[s]://…; empty: events are published over HTTP only"`
	MongoDBURI string `env:"MONGODB_URI" secret:"url" doc:"MongoDB of the read models, mongodb[+srv]://…/DATABASE; empty: catch-up is served from the log"`
	NATSURL    string `env:"NATS_URL" secret:"url" doc:"NATS servers, nats://…[,nats://…]; empty: JetStream inside this process, in DATA_DIR"`

	Roles []string `env:"ROLES" envDefault:"ingest,project,fanout" doc:"parts to run: any of ingest, project, fanout"`

	DataDir    string `env:"DATA_DIR" envDefault:"data" doc:"folder of the embedded JetStream"`
	NATSListen string `env:"NATS_LISTEN" doc:"host:port on which the embedded JetStream takes NATS clients; empty: none"`
	NATSSync   string `env:"NATS_SYNC" envDefault:"always" doc:"when the embedded JetStream writes to disk: always (survives a power loss), or an interval such as 10s (survives the death of the process)"`

	LogReplicas  int           `env:"STREAM_REPLICAS" envDefault:"1" doc:"copies of the log in a NATS cluster: 1, 3 or 5; more than 1 needs NATS_URL"`
	LogMaxBytes  int64         `env:"STREAM_MAX_BYTES" envDefault:"10737418240" doc:"size at which the log refuses new events, in bytes"`
	LogMaxAge    time.Duration `env:"STREAM_MAX_AGE" envDefault:"0" doc:"age at which the log forgets an event, such as 720h, not below STREAM_DEDUP_WINDOW; 0: never"`
	DedupWindow  time.Duration `env:"STREAM_DEDUP_WINDOW" envDefault:"2m" doc:"how long the log remembers ids it has stored"`
	MaxEvent     int           `env:"MAX_EVENT_BYTES" envDefault:"1000000" doc:"size above which an envelope is dead-lettered, in bytes, below 8388608"`
	Catalogue    string        `env:"CATALOGUE_FILE" doc:"JSON file with further kinds of events"`
	Origins      string        `env:"SOCKET_CLIENT_ORIGIN" envDefault:"http://localhost:5173" doc:"origins that may connect, comma-separated; * allows all"`
	NeedOrigin   bool          `env:"SOCKET_REQUIRE_ORIGIN" envDefault:"false" doc:"refuse clients that send no Origin"`
	MaxConns     int           `env:"SOCKET_MAX_CONNECTIONS" envDefault:"0" doc:"sockets in all; 0: no limit"`
	MaxPerOrigin int           `env:"SOCKET_MAX_CONNECTIONS_PER_ORIGIN" envDefault:"0" doc:"sockets that share an Origin; 0: no limit"`
	MaxSubs      int           `env:"SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT" envDefault:"20" doc:"jobs a socket may follow, 1 or more"`
	IdleMs       int           `env:"SOCKET_IDLE_TIMEOUT_MS" envDefault:"300000" doc:"silence after which a socket is closed, in milliseconds; 0: off"`
	CatchUp      int           `env:"SOCKET_CATCH_UP_LIMIT" envDefault:"250" doc:"events replayed to a subscription without since, 1 to 10000"`

	MaxPerAddress  int    `env:"SOCKET_MAX_CONNECTIONS_PER_IP" envDefault:"0" doc:"sockets that share an IPv4 address or an IPv6 /64; 0: no limit"`
	MaxPerSubject  int    `env:"SOCKET_MAX_CONNECTIONS_PER_SUBJECT" envDefault:"0" doc:"sockets that share the subject of a token; 0: no limit"`
	ConnsPerSecond int    `env:"SOCKET_CONNECTIONS_PER_SECOND" envDefault:"0" doc:"new sockets in a second; 0: no limit"`
	MsgsPerSecond  int    `env:"SOCKET_MESSAGES_PER_SECOND" envDefault:"0" doc:"messages of one socket in a second; 0: no limit"`
	SubsPerMinute  int    `env:"SOCKET_SUBSCRIPTION_CHANGES_PER_MINUTE" envDefault:"6000" doc:"subscribe and unsubscribe requests of one socket in a minute; 0: no limit"`
	DryRun         bool   `env:"GUARDRAILS_DRY_RUN" envDefault:"false" doc:"count and log what limits would refuse, and refuse nothing"`
	TrustedProxies string `env:"TRUSTED_PROXIES" doc:"networks of the proxies that may tell a client's address, comma-separated, such as 10.0.0.0/8; empty: none"`

	JWKSURL        string `env:"AUTH_JWKS_URL" doc:"where the issuer of tokens publishes its keys, https://…; without it and AUTH_HMAC_SECRET, clients need no token"`
	HMACSecret     string `env:"AUTH_HMAC_SECRET" secret:"value" doc:"secret shared with the issuer of tokens, at least 32 bytes, in place of AUTH_JWKS_URL"`
	HMACSecretFile string `env:"AUTH_HMAC_SECRET_FILE" doc:"file with that secret"`
	TokenIssuer    string `env:"AUTH_ISSUER" doc:"what the claim iss has to be; required with tokens"`
	TokenAudience  string `env:"AUTH_AUDIENCE" doc:"what the claim aud has to be or contain; required with tokens"`

	RecoveryTTL time.Duration `env:"SOCKET_RECOVERY_TTL" envDefault:"2m" doc:"how long a Socket.IO session can be recovered after its connection was lost, such as 2m; 0: not at all"`

	DrainSeconds int `env:"DRAIN_SECONDS" envDefault:"5" doc:"time over which the sockets are closed at a stop, in random order, in seconds; 0: all at once"`

	LogLevel        string        `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat       string        `env:"LOG_FORMAT" envDefault:"json" doc:"json or text"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"15s" doc:"time for an orderly stop, beside DRAIN_SECONDS"`
}

// LoadConfig reads the settings from an environment and validates them. The
// error matches [ErrConfig] and names each wrong variable, its value and what is
// allowed.
func LoadConfig(environ map[string]string) (Config, error) {
	var cfg Config
	if err := env.ParseWithOptions(&cfg, env.Options{Environment: environ}); err != nil {
		return cfg, fmt.Errorf("%w: %w", ErrConfig, explain(err, environ))
	}
	if err := cfg.Validate(); err != nil {
		return cfg, err
	}
	return cfg, nil
}

// explain rewrites the parser's errors, which name struct fields, in terms of
// the variables that people set.
func explain(err error, environ map[string]string) error {
	var aggregate env.AggregateError
	if !errors.As(err, &aggregate) {
		return err
	}
	var explained []error
	for _, err := range aggregate.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			explained = append(explained, err)
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		name := field.Tag.Get("env")
		explained = append(explained, wrong(name, environ[name]))
	}
	return errors.Join(explained...)
}

// wrong is the error about one variable: its name, its value and its meaning.
func wrong(name, value string) error {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if field.Tag.Get("env") != name {
			continue
		}
		value = redact(field, value)
		return fmt.Errorf("%s is %q: want %s", name, value, field.Tag.Get("doc"))
	}
	return fmt.Errorf("%s is %q", name, value)
}

// Validate names every setting that is out of its range.
func (c Config) Validate() error {
	var problems []error
	check := func(ok bool, name string, value any) {
		if !ok {
			problems = append(problems, wrong(name, fmt.Sprint(value)))
		}
	}
	check(c.Port >= 0 && c.Port <= 65535, "PORT", c.Port)
	check(c.AdminAddr == "" || isHostPort(c.AdminAddr), "ADMIN_ADDR", c.AdminAddr)
	check(c.InternalToken == "" || len(c.InternalToken) >= 16, "INTERNAL_TOKEN", c.InternalToken)
	check(c.RedisURL == "" || hasScheme(c.RedisURL, "redis", "rediss"), "REDIS_URL", c.RedisURL)
	check(c.MongoDBURI == "" || strings.HasPrefix(c.MongoDBURI, "mongodb://") || strings.HasPrefix(c.MongoDBURI, "mongodb+srv://"), "MONGODB_URI", c.MongoDBURI)
	for server := range strings.SplitSeq(c.NATSURL, ",") {
		check(c.NATSURL == "" || hasScheme(server, "nats", "tls", "ws", "wss"), "NATS_URL", c.NATSURL)
	}
	check(len(c.Roles) > 0 && !slices.ContainsFunc(c.Roles, func(role string) bool { return !slices.Contains(allRoles, role) }), "ROLES", strings.Join(c.Roles, ","))
	check(c.DataDir != "" || c.NATSURL != "", "DATA_DIR", c.DataDir)
	_, err := c.syncInterval()
	check(err == nil, "NATS_SYNC", c.NATSSync)
	check(c.NATSListen == "" || isHostPort(c.NATSListen), "NATS_LISTEN", c.NATSListen)
	check(slices.Contains([]int{1, 3, 5}, c.LogReplicas) && (c.LogReplicas == 1 || c.NATSURL != ""), "STREAM_REPLICAS", c.LogReplicas)
	c.checkStream(check)
	check(c.MaxEvent > 0 && c.MaxEvent < natsserver.MaxPayloadBytes, "MAX_EVENT_BYTES", c.MaxEvent)
	_, err = guardrails.ParseOrigins(c.Origins, c.NeedOrigin)
	check(err == nil, "SOCKET_CLIENT_ORIGIN", c.Origins)
	check(c.MaxConns >= 0, "SOCKET_MAX_CONNECTIONS", c.MaxConns)
	check(c.MaxPerOrigin >= 0, "SOCKET_MAX_CONNECTIONS_PER_ORIGIN", c.MaxPerOrigin)
	check(c.MaxSubs >= 1, "SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT", c.MaxSubs)
	check(c.IdleMs >= 0, "SOCKET_IDLE_TIMEOUT_MS", c.IdleMs)
	check(c.CatchUp >= 1 && c.CatchUp <= 10_000, "SOCKET_CATCH_UP_LIMIT", c.CatchUp)
	check(c.RecoveryTTL == 0 || c.RecoveryTTL >= time.Second, "SOCKET_RECOVERY_TTL", c.RecoveryTTL)
	check(c.MaxPerAddress >= 0, "SOCKET_MAX_CONNECTIONS_PER_IP", c.MaxPerAddress)
	check(c.MaxPerSubject >= 0, "SOCKET_MAX_CONNECTIONS_PER_SUBJECT", c.MaxPerSubject)
	check(c.ConnsPerSecond >= 0, "SOCKET_CONNECTIONS_PER_SECOND", c.ConnsPerSecond)
	check(c.MsgsPerSecond >= 0, "SOCKET_MESSAGES_PER_SECOND", c.MsgsPerSecond)
	check(c.SubsPerMinute >= 0, "SOCKET_SUBSCRIPTION_CHANGES_PER_MINUTE", c.SubsPerMinute)
	_, err = guardrails.ParseProxies(c.TrustedProxies)
	check(err == nil, "TRUSTED_PROXIES", c.TrustedProxies)
	check(c.DrainSeconds >= 0, "DRAIN_SECONDS", c.DrainSeconds)
	var level slog.Level
	check(level.UnmarshalText([]byte(c.LogLevel)) == nil, "LOG_LEVEL", c.LogLevel)
	check(c.LogFormat == "json" || c.LogFormat == "text", "LOG_FORMAT", c.LogFormat)
	check(c.ShutdownTimeout > 0, "SHUTDOWN_TIMEOUT", c.ShutdownTimeout)
	if len(problems) > 0 {
		return fmt.Errorf("%w: %w", ErrConfig, errors.Join(problems...))
	}
	return nil
}

// checkStream asks the event store about each of its limits alone, so that the
// setting that is wrong can be named.
func (c Config) checkStream(check func(ok bool, name string, value any)) {
	limits := eventstore.DefaultConfig()
	limits.MaxBytes = c.LogMaxBytes
	check(limits.Validate() == nil, "STREAM_MAX_BYTES", c.LogMaxBytes)
	limits = eventstore.DefaultConfig()
	limits.DuplicateWindow = c.DedupWindow
	check(limits.Validate() == nil, "STREAM_DEDUP_WINDOW", c.DedupWindow)
	limits.MaxAge = c.LogMaxAge
	check(limits.Validate() == nil, "STREAM_MAX_AGE", c.LogMaxAge)
}

// The roles a process can have.
const (
	roleIngest  = "ingest"
	roleProject = "project"
	roleFanout  = "fanout"
)

var allRoles = []string{roleIngest, roleProject, roleFanout}

func (c Config) has(role string) bool { return slices.Contains(c.Roles, role) }

// syncInterval returns 0 for "always".
func (c Config) syncInterval() (time.Duration, error) {
	if c.NATSSync == "always" {
		return 0, nil
	}
	interval, err := time.ParseDuration(c.NATSSync)
	if err == nil && interval <= 0 {
		err = errors.New("the interval has to be more than 0")
	}
	return interval, err
}

func (c Config) limits() guardrails.Limits {
	return guardrails.Limits{
		MaxConnections:               c.MaxConns,
		MaxConnectionsPerOrigin:      c.MaxPerOrigin,
		MaxConnectionsPerAddress:     c.MaxPerAddress,
		MaxConnectionsPerSubject:     c.MaxPerSubject,
		ConnectionsPerSecond:         c.ConnsPerSecond,
		MaxSubscriptionsPerClient:    c.MaxSubs,
		SubscriptionChangesPerMinute: c.SubsPerMinute,
		MessagesPerSecond:            c.MsgsPerSecond,
		IdleTimeout:                  time.Duration(c.IdleMs) * time.Millisecond,
		DryRun:                       c.DryRun,
	}
}

func (c Config) drainPeriod() time.Duration { return time.Duration(c.DrainSeconds) * time.Second }

func (c Config) address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

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

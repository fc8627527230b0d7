package config

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/internal/address"
)

// ErrInvalid is matched by every error about a setting. A retry does not help.
var ErrInvalid = errors.New("invalid settings")

// Config holds the settings of the server, one environment variable each. The
// tags are the single place for a variable's name, default and meaning; group
// begins a section of docs/configuration.md. With reload a running gateway takes a new
// value ([Reloaded]).
type Config struct {
	Host string `group:"HTTP" env:"HOST" doc:"address to listen on; empty: every interface"`
	Port int    `env:"PORT" envDefault:"3001" doc:"HTTP port, 0 to 65535; 0 picks a free one, which the log line \"listening\" names"`

	Listen     string `env:"LISTEN" doc:"unix:/path, a UNIX socket on which to listen in place of HOST and PORT, for a proxy on this machine; the address of its clients is 127.0.0.1, also for TRUSTED_PROXIES; empty: HOST and PORT"`
	ListenMode string `env:"LISTEN_MODE" envDefault:"0660" doc:"permissions of that socket, octal; a program that may write to it may connect"`
	H2C        bool   `env:"HTTP_H2C" envDefault:"false" doc:"accept HTTP/2 without TLS (h2c, by prior knowledge) as well as HTTP/1.1 on the public port, for proxies that send it; sockets need HTTP/1.1"`

	TLSCert string `env:"TLS_CERT_FILE" doc:"PEM file with the certificate and its chain for HTTPS on the public port; the gateway reads it again when it changes; empty: HTTP"`
	TLSKey  string `env:"TLS_KEY_FILE" doc:"PEM file with its key"`

	ACMEHosts     string `env:"ACME_HOSTS" doc:"names, comma-separated, for which the public port gets certificates from an authority over ACME and renews them, in place of TLS_CERT_FILE; the authority must reach the public port as port 443 of each name (tls-alpn-01); setting it accepts the authority's terms; empty: none"`
	ACMECache     string `env:"ACME_CACHE_DIR" envDefault:"acme" doc:"folder for the certificates and the account key, which only the service may read, and which must persist across restarts"`
	ACMEEmail     string `env:"ACME_EMAIL" doc:"address that the authority may write to"`
	ACMEDirectory string `env:"ACME_DIRECTORY_URL" secret:"url" envDefault:"https://acme-v02.api.letsencrypt.org/directory" doc:"the authority's directory, https://…"`
	ACMECA        string `env:"ACME_CA_FILE" doc:"PEM file with the authorities to trust for that server's certificate; empty: those of the system"`

	ProxyProto bool `env:"PROXY_PROTOCOL" envDefault:"false" doc:"connections to the public port begin with a header of the PROXY protocol, version 1 or 2, which names the client; only TRUSTED_PROXIES may connect"`

	BasePath      string `env:"BASE_PATH" doc:"path below which the gateway also serves every page, such as /rt: /rt/ws, /rt/api and the others then work behind a proxy that shares the host and keeps the path"`
	Compression   string `env:"HTTP_COMPRESSION" envDefault:"pages" doc:"answers that are compressed with gzip for clients that accept it: off, pages (pages of events), or all (event streams as well; compressing an event for a client takes more processor time than delivering it)"`
	AdminAddr     string `env:"ADMIN_ADDR" doc:"host:port for the operators' pages, which the public port then does not serve; empty: the public port serves them, with INTERNAL_TOKEN"`
	InternalToken string `env:"INTERNAL_TOKEN" reload:"yes" secret:"value" doc:"bearer token for the operators' pages on the public port and for publishing over HTTP, at least 16 characters; empty: both refuse every request, except requests from this machine if ADMIN_ADDR, TRUSTED_PROXIES and LISTEN are empty, HTTP_H2C is false and ENVIRONMENT is not production"`
	ReadToken     string `env:"ADMIN_READ_TOKEN" reload:"yes" secret:"value" doc:"bearer token that may read over the operators' API and may not make changes, at least 16 characters; empty: none"`
	ReadScope     string `env:"ADMIN_READ_SCOPE" reload:"yes" doc:"scope, in the claim scope or scopes of a client's token, with which the token may read over the operators' API; the issuer must give it to operators only; empty: no scope gives a role"`
	OperateScope  string `env:"ADMIN_OPERATE_SCOPE" reload:"yes" doc:"scope with which the token may also make changes over the operators' API; empty: none"`
	ReadOnly      bool   `env:"ADMIN_READ_ONLY" reload:"yes" envDefault:"false" doc:"refuse every change over the operators' API, even with INTERNAL_TOKEN"`

	GatewayName string `env:"GATEWAY_NAME" doc:"name of this gateway in the operators' API and console, its metrics, the audit stream and traces, 1 to 100 letters, digits, dots, hyphens and underscores, different on each gateway; empty: the name of the machine with a random part"`

	RecorderBytes  int `env:"FLIGHT_RECORDER_BYTES" envDefault:"33554432" doc:"memory in which the process keeps what happened to the last events and clients, for operators and for an hour at most, in bytes, 1048576 to 1073741824; a half is for events, a half for clients; 0: it keeps nothing"`
	RecorderEvents int `env:"FLIGHT_RECORDER_EVENTS" envDefault:"50000" doc:"stages of events that it keeps at most, of which each event has about six, 1 to 10000000"`

	ReceiptSecret string `env:"RECEIPT_SECRET" reload:"yes" secret:"value" doc:"secret shared with the workers that signs receipts, at least 16 characters; empty: receipts are not signed, and every program that may publish in Redis can forge them"`
	Environment   string `env:"ENVIRONMENT" envDefault:"development" doc:"development or production; in production, settings that leave the service open are refused (in development they only cause a warning), and requests from this machine have no rights of their own"`

	RedisURL   string `group:"Backends" env:"REDIS_URL" secret:"url" doc:"Redis that workers publish to, redis[s]://[USER:PASSWORD@]HOST:PORT, special characters in user and password percent-encoded; with REDIS_MODE sentinel or cluster a list, …HOST:PORT,HOST:PORT; empty: events are published over HTTP only"`
	MongoDBURI string `env:"MONGODB_URI" secret:"url" doc:"MongoDB of the read models, mongodb[+srv]://…/DATABASE, special characters in user and password percent-encoded; without a database: test; empty: catch-up is served from the log"`
	NATSURL    string `env:"NATS_URL" secret:"url" doc:"NATS servers, nats://…[,nats://…], special characters in user and password percent-encoded; empty: JetStream inside this process, in DATA_DIR"`

	RedisMode     string `env:"REDIS_MODE" envDefault:"single" doc:"kind of the servers in REDIS_URL: single (the server itself), sentinel (Sentinels, which the gateway asks for the primary), or cluster (nodes of a Redis Cluster)"`
	RedisMaster   string `env:"REDIS_SENTINEL_MASTER" doc:"name of the primary among the Sentinels; required with REDIS_MODE sentinel"`
	RedisWatchers string `env:"REDIS_SENTINEL_USER" doc:"user for the Sentinels themselves; empty: the default user"`
	RedisWatch    string `env:"REDIS_SENTINEL_PASSWORD" secret:"value" doc:"password for the Sentinels themselves"`
	RedisCA       string `env:"REDIS_TLS_CA_FILE" doc:"PEM file with the authorities to trust for certificates of Redis and the Sentinels, with rediss://; empty: those of the system"`
	RedisCert     string `env:"REDIS_TLS_CERT_FILE" doc:"PEM file with the client certificate for Redis"`
	RedisKey      string `env:"REDIS_TLS_KEY_FILE" doc:"PEM file with its key"`

	NATSDomain   string `env:"NATS_JS_DOMAIN" doc:"JetStream domain of the log, where NATS_URL leads to leaf nodes of another domain or without JetStream; empty: the domain of the server"`
	NATSCreds    string `env:"NATS_CREDS_FILE" doc:"credentials file of a NATS user: its JWT and seed"`
	NATSNkey     string `env:"NATS_NKEY_FILE" doc:"file with the seed of an nkey"`
	NATSUser     string `env:"NATS_USER" doc:"user for NATS, in place of one in NATS_URL; without NATS_URL, the user that clients of NATS_LISTEN and gateways of NATS_CLUSTER must use"`
	NATSPassword string `env:"NATS_PASSWORD" secret:"value" doc:"password of NATS_USER"`
	NATSToken    string `env:"NATS_TOKEN" secret:"value" doc:"token for NATS, in place of one in NATS_URL"`
	NATSCA       string `env:"NATS_TLS_CA_FILE" doc:"PEM file with the authorities to trust for certificates of NATS servers; setting it, or a certificate, turns TLS on; empty: those of the system"`
	NATSCert     string `env:"NATS_TLS_CERT_FILE" doc:"PEM file with the client certificate for NATS; without NATS_URL, the certificate of NATS_LISTEN and NATS_CLUSTER, whose clients then need a certificate of an authority in NATS_TLS_CA_FILE"`
	NATSKey      string `env:"NATS_TLS_KEY_FILE" doc:"PEM file with its key"`
	// NATSMonitoring must not have passwords. One that is there by mistake is hidden.
	NATSMonitoring string `env:"NATS_MONITORING_URL" secret:"url" doc:"addresses of the monitoring ports of the servers of NATS_URL, http://…[,http://…], without passwords: with ENVIRONMENT=production a gateway asks them at its start, and realtime doctor asks them, when they write the log to disk, and warns of an interval; empty: port 8222 of each server"`

	CanaryInterval time.Duration `env:"CANARY_INTERVAL" envDefault:"10s" doc:"how often a gateway tests the operations that it needs of Redis, MongoDB and NATS, for health and metrics, 100ms to 1h"`

	Roles []string `env:"ROLES" envDefault:"ingest,project,fanout" doc:"parts to run: any of ingest, project, fanout"`

	DataDir    string `group:"Log" env:"DATA_DIR" envDefault:"data" doc:"folder of the embedded JetStream"`
	NATSListen string `env:"NATS_LISTEN" doc:"host:port on which the embedded JetStream accepts NATS clients; empty: none"`
	NATSSync   string `env:"NATS_SYNC" envDefault:"always" doc:"when the embedded JetStream writes to disk: always (survives a power loss), or an interval such as 10s, 1ms or more (survives the death of the process)"`

	NATSCluster       string `env:"NATS_CLUSTER" doc:"host:port of the gateways whose embedded JetStreams form one cluster, comma-separated, at most 16, the same list on each gateway; with STREAM_REPLICAS 3 the log survives the loss of any one of three; clients and gateways need NATS_USER, and a certificate if NATS_TLS_CERT_FILE is set; empty: no cluster"`
	NATSClusterListen string `env:"NATS_CLUSTER_LISTEN" envDefault:":6222" doc:"host:port on which this gateway accepts the others of NATS_CLUSTER"`
	NATSNode          string `env:"NATS_NODE" doc:"name of this gateway in NATS_CLUSTER, different on each gateway and the same after a restart, without dots; empty: the name of the machine, up to its first dot"`

	LogReplicas int           `env:"STREAM_REPLICAS" envDefault:"1" doc:"copies of the log in a NATS cluster: 1, 3 or 5; more than 1 needs NATS_URL or NATS_CLUSTER"`
	LogMaxBytes int64         `env:"STREAM_MAX_BYTES" envDefault:"10737418240" doc:"size at which the log refuses new events, in bytes, at most 562949953421312"`
	LogMaxAge   time.Duration `env:"STREAM_MAX_AGE" envDefault:"0" doc:"age at which the log deletes an event, such as 720h, not below STREAM_DEDUP_WINDOW; 0: never"`
	DedupWindow time.Duration `env:"STREAM_DEDUP_WINDOW" envDefault:"2m" doc:"how long the log remembers the ids of stored events"`
	KnownIDs    int           `env:"STREAM_KNOWN_IDS" envDefault:"1000000" doc:"number of newest events whose ids a process with the role ingest remembers beyond STREAM_DEDUP_WINDOW, so that a later repeat is not stored again; 60 bytes of memory each; 0: none"`
	MaxEvent    int           `env:"MAX_EVENT_BYTES" envDefault:"1000000" doc:"size above which an envelope is dead-lettered, in bytes, below 8388608"`
	Catalogue   string        `env:"CATALOGUE_FILE" reload:"yes" doc:"JSON file with further kinds of events"`

	Origins     string        `group:"Sockets" env:"SOCKET_CLIENT_ORIGIN" reload:"yes" envDefault:"http://localhost:5173" doc:"origins that may connect, scheme://host[:port], comma-separated; https://*.app.example allows the hosts below a domain, http://localhost:* every port, * all"`
	PublicURL   string        `env:"PUBLIC_URL" reload:"yes" doc:"addresses under which clients reach the service, http[s]://…, comma-separated; an Origin that names one of them may connect, because programs other than browsers send this address as their Origin"`
	NeedOrigin  bool          `env:"SOCKET_REQUIRE_ORIGIN" reload:"yes" envDefault:"false" doc:"refuse clients that do not send an Origin"`
	CatchUp     int           `env:"SOCKET_CATCH_UP_LIMIT" envDefault:"250" doc:"events replayed to a subscription without since, 1 to 10000"`
	RecoveryTTL time.Duration `env:"SOCKET_RECOVERY_TTL" envDefault:"2m" doc:"how long a Socket.IO session can be recovered after its connection was lost, such as 2m; 0: not at all"`

	RecoveryFor string `env:"SOCKET_RECOVERY_CLIENTS" envDefault:"auto" doc:"Socket.IO clients whose session can be recovered, and whose events carry an offset for it: auto (those in JavaScript, recognised by their handshake), all, or asked (those that request it); the choice of a client comes first"`

	MaxConns       int    `group:"Limits" env:"SOCKET_MAX_CONNECTIONS" reload:"yes" envDefault:"0" doc:"sockets in all; 0: no limit"`
	MaxPerOrigin   int    `env:"SOCKET_MAX_CONNECTIONS_PER_ORIGIN" reload:"yes" envDefault:"0" doc:"sockets that share an Origin; 0: no limit"`
	MaxPerAddress  int    `env:"SOCKET_MAX_CONNECTIONS_PER_IP" reload:"yes" envDefault:"0" doc:"sockets that share an IPv4 address or an IPv6 /64; 0: no limit"`
	MaxPerSubject  int    `env:"SOCKET_MAX_CONNECTIONS_PER_SUBJECT" reload:"yes" envDefault:"0" doc:"sockets that share the subject of a token; 0: no limit"`
	MaxCluster     int    `env:"SOCKET_CLUSTER_MAX_CONNECTIONS" envDefault:"0" doc:"sockets of all gateways on one log together; the gateways may exceed it by the sockets that they admit within half a second; 0: no limit"`
	MaxClusterPer  int    `env:"SOCKET_CLUSTER_MAX_CONNECTIONS_PER_ORIGIN" envDefault:"0" doc:"the same for sockets that share an Origin; 0: no limit"`
	ConnsPerSecond int    `env:"SOCKET_CONNECTIONS_PER_SECOND" reload:"yes" envDefault:"0" doc:"new sockets in a second; at most 1000000; 0: no limit"`
	MaxSubs        int    `env:"SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT" reload:"yes" envDefault:"20" doc:"jobs that a socket may follow, 1 or more"`
	IdleMs         int    `env:"SOCKET_IDLE_TIMEOUT_MS" reload:"yes" envDefault:"300000" doc:"time without a ping, subscribe or unsubscribe of a client after which its socket is closed, in milliseconds; 0: off"`
	MsgsPerSecond  int    `env:"SOCKET_MESSAGES_PER_SECOND" reload:"yes" envDefault:"0" doc:"events of one socket in a second, not counting subscribe and unsubscribe; at most 1000000; 0: no limit"`
	SubsPerMinute  int    `env:"SOCKET_SUBSCRIPTION_CHANGES_PER_MINUTE" reload:"yes" envDefault:"6000" doc:"subscribe and unsubscribe requests of one socket in a minute; at most 1000000; 0: no limit"`
	MaxMessage     int    `env:"SOCKET_MAX_MESSAGE_BYTES" envDefault:"65536" doc:"size of one event of a client, its name and arguments, in bytes; the gateway answers a larger one with MESSAGE_TOO_LARGE, without keeping or parsing it; 0: only SOCKET_MAX_PAYLOAD_BYTES limits it"`
	BytesPerSecond int    `env:"SOCKET_BYTES_PER_SECOND" reload:"yes" envDefault:"262144" doc:"bytes that the gateway reads from one connection in a second, on average, at most 67108864; it reads the bytes of eight seconds, or one message of SOCKET_MAX_PAYLOAD_BYTES, at once, and then at this rate; 0: no limit"`
	MaxRequests    int    `env:"REST_MAX_REQUESTS" reload:"yes" envDefault:"256" doc:"requests for pages of events over REST that are answered at the same time; more are refused with 503; 0: no limit"`
	MaxRequestsPer int    `env:"REST_MAX_REQUESTS_PER_CLIENT" reload:"yes" envDefault:"32" doc:"the same for one client: a token's subject, or without tokens an address (behind a proxy, set TRUSTED_PROXIES); more are refused with 429; 0: no limit"`
	ReqsPerMinute  int    `env:"REST_REQUESTS_PER_MINUTE" reload:"yes" envDefault:"6000" doc:"pages of events over REST that one client may request in a minute, a sixth of them at once; at most 6000000; 0: no limit"`
	MaxAnswers     int64  `env:"REST_MAX_ANSWER_BYTES" envDefault:"33554432" doc:"memory of all answers over REST in flight, in bytes, 2097152 or more; one client may use an eighth of it, or the memory of one read; a request that waits for memory for 5 seconds is refused with 503"`
	HistoryCache   int64  `env:"HISTORY_CACHE_BYTES" envDefault:"67108864" doc:"memory of pages of history that are kept for further readers, until nobody has read them for 5 seconds and for 10 seconds at most, in bytes; one job may use a quarter of it; 0: none are kept"`
	DryRun         bool   `env:"GUARDRAILS_DRY_RUN" envDefault:"false" doc:"count and log what limits would refuse, and refuse nothing; the bounds of the transport stay"`
	TrustedProxies string `env:"TRUSTED_PROXIES" doc:"networks of the proxies whose forwarding headers name a client's address, comma-separated, such as 10.0.0.0/8; empty: none"`

	MaxPayload       int64         `group:"Transport" env:"SOCKET_MAX_PAYLOAD_BYTES" envDefault:"1000000" doc:"size of a WebSocket message or a polling request above which the connection is closed, in bytes, 1024 to 67108864"`
	MaxOutgoing      int           `env:"SOCKET_MAX_OUTGOING_BYTES" envDefault:"262144" doc:"size of the outgoing queue of a socket, in bytes, 16384 to 67108864; at the bound its subscriptions continue at the client's pace; a socket that sends requests and reads no answers is closed at twice this size"`
	Deflate          bool          `env:"SOCKET_COMPRESSION" envDefault:"false" doc:"compress events of 1 KiB or more for WebSocket clients that negotiate it (permessage-deflate), once for all clients; see the security page before events have secrets beside texts of others"`
	HandshakeTimeout time.Duration `env:"SOCKET_HANDSHAKE_TIMEOUT" envDefault:"10s" doc:"time for the headers of a request, 100ms or more"`
	BodyTimeout      time.Duration `env:"HTTP_BODY_TIMEOUT" envDefault:"30s" doc:"time for the body of a request, on every path, 100ms or more"`
	ConnectTimeout   time.Duration `env:"SOCKET_CONNECT_TIMEOUT" envDefault:"10s" doc:"time for a new connection to join a namespace, 100ms or more"`

	JWKSURL       string `group:"Tokens" env:"AUTH_JWKS_URL" secret:"url" doc:"where the issuer of tokens publishes its keys, https://…; without it and AUTH_HMAC_SECRET, clients need no token"`
	HMACSecret    string `env:"AUTH_HMAC_SECRET" reload:"yes" secret:"value" doc:"secret shared with the issuer of tokens, at least 32 bytes, in place of AUTH_JWKS_URL"`
	TokenIssuer   string `env:"AUTH_ISSUER" doc:"required value of the claim iss; required with tokens"`
	TokenAudience string `env:"AUTH_AUDIENCE" doc:"value that the claim aud must be or contain; required with tokens"`

	RevocationsKept time.Duration `env:"REVOCATIONS_KEPT" envDefault:"720h" doc:"how long a revoked token, key or subject is refused, 1m to 87600h: must be longer than any token is valid; an existing log keeps the value that it was created with"`

	NoTelemetry      bool   `group:"Traces" env:"OTEL_SDK_DISABLED" envDefault:"false" doc:"record no traces, whatever the other variables of OpenTelemetry say"`
	TracesExporter   string `env:"OTEL_TRACES_EXPORTER" doc:"how traces are exported: otlp, or none; empty: otlp if an endpoint is set, and none otherwise"`
	OTLPEndpoint     string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" secret:"url" doc:"where traces are exported over OTLP, http[s]://HOST:PORT; with http/protobuf, v1/traces is added to its path; empty: port 4318 of this machine, or 4317 with grpc"`
	TracesEndpoint   string `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" secret:"url" doc:"the same, http[s]://HOST:PORT/PATH, used as it is and in place of OTEL_EXPORTER_OTLP_ENDPOINT"`
	OTLPProtocol     string `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf" doc:"protocol of the endpoint: http/protobuf or grpc"`
	TracesProtocol   string `env:"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" doc:"the same, in place of OTEL_EXPORTER_OTLP_PROTOCOL: http/protobuf or grpc; empty: not set"`
	OTLPHeaders      string `env:"OTEL_EXPORTER_OTLP_HEADERS" secret:"value" doc:"headers of each export, key=value,key=value, values percent-encoded"`
	TracesHeaders    string `env:"OTEL_EXPORTER_OTLP_TRACES_HEADERS" secret:"value" doc:"further headers, which come before those of OTEL_EXPORTER_OTLP_HEADERS, key=value,key=value, values percent-encoded"`
	TracesSampler    string `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_always_on" doc:"traces that are recorded: always_on, always_off, traceidratio, or parentbased_always_on, parentbased_always_off, parentbased_traceidratio, which decide as the worker has decided for an event with a trace context"`
	TracesSamplerArg string `env:"OTEL_TRACES_SAMPLER_ARG" doc:"part of the traces that traceidratio and parentbased_traceidratio record, a number from 0 to 1; empty: 1"`
	TracesService    string `env:"OTEL_SERVICE_NAME" envDefault:"realtime" doc:"name of the service in its traces"`
	TracesAttributes string `env:"OTEL_RESOURCE_ATTRIBUTES" doc:"further attributes of the service in its traces, key=value,key=value, values percent-encoded"`

	LogLevel        string        `group:"Process" env:"LOG_LEVEL" reload:"yes" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat       string        `env:"LOG_FORMAT" envDefault:"json" doc:"json or text"`
	DrainSeconds    int           `env:"DRAIN_SECONDS" envDefault:"5" doc:"time for which a stopping gateway is not ready and still answers requests, so that balancers send clients elsewhere; over this time it closes sockets and event streams in random order; in seconds; 0: none"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"15s" doc:"time for an orderly stop, in addition to DRAIN_SECONDS, 100ms or more"`
	SettingsFile    string        `env:"CONFIG_FILE" doc:"TOML file with settings, for those that the environment does not set; realtime config init writes one"`

	// secretFiles has the files that secrets were read from, by the setting.
	secretFiles map[string]string
}

// Load reads the settings from an environment, and from the files that it names, and
// validates them. The error matches [ErrInvalid] and names each wrong variable, its value
// and what is allowed.
func Load(environ map[string]string) (Config, error) { return load(environ, atStart) }

// LoadAgain is [Load] for a gateway that runs and is to take new settings ([Reloaded]). It
// does not look at the files that only a start reads.
func LoadAgain(environ map[string]string) (Config, error) { return load(environ, atReload) }

func load(environ map[string]string, when occasion) (Config, error) {
	var cfg Config
	variables, secretFiles, err := gather(environ)
	if err != nil {
		return cfg, fmt.Errorf("%w: %w", ErrInvalid, address.Mask(err))
	}
	if err := env.ParseWithOptions(&cfg, env.Options{Environment: variables}); err != nil {
		return cfg, fmt.Errorf("%w: %w", ErrInvalid, address.Mask(explain(err, variables)))
	}
	cfg.secretFiles = secretFiles
	return cfg, cfg.validate(when)
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
		explained = append(explained, Wrong(name, environ[name]))
	}
	return errors.Join(explained...)
}

// Wrong is the error about one variable: its name, its value and its meaning.
func Wrong(name, value string) error {
	for _, field := range settingFields() {
		if field.Tag.Get("env") != name {
			continue
		}
		value = redact(field, value)
		if field.Type.Kind() == reflect.Bool { // whose meaning is what true does
			return fmt.Errorf("%s is %q: want true or false", name, value)
		}
		return fmt.Errorf("%s is %q: want %s", name, value, field.Tag.Get("doc"))
	}
	return fmt.Errorf("%s is %q", name, value)
}

// isDefault reports whether a setting has its default.
func isDefault(name string, value any) bool {
	for _, field := range settingFields() {
		if field.Tag.Get("env") == name {
			return field.Tag.Get("envDefault") == fmt.Sprint(value)
		}
	}
	return false
}

// The roles a process can have.
const (
	RoleIngest  = "ingest"
	RoleProject = "project"
	RoleFanout  = "fanout"
)

var allRoles = []string{RoleIngest, RoleProject, RoleFanout}

func (c Config) Has(role string) bool { return slices.Contains(c.Roles, role) }

// minSync is the shortest interval between two writes to disk.
const minSync = time.Millisecond

// SyncInterval returns the time between two writes of the log to disk; 0 stands for
// "always".
func (c Config) SyncInterval() (time.Duration, error) {
	if c.NATSSync == "always" {
		return 0, nil
	}
	interval, err := time.ParseDuration(c.NATSSync)
	if err == nil && interval < minSync {
		err = fmt.Errorf("the interval is %s, and has to be %s or more", interval, minSync)
	}
	return interval, err
}

func (c Config) Limits() guardrails.Limits {
	return guardrails.Limits{
		MaxConnections:                 c.MaxConns,
		MaxConnectionsPerOrigin:        c.MaxPerOrigin,
		MaxConnectionsPerAddress:       c.MaxPerAddress,
		MaxConnectionsPerSubject:       c.MaxPerSubject,
		MaxClusterConnections:          c.MaxCluster,
		MaxClusterConnectionsPerOrigin: c.MaxClusterPer,
		ConnectionsPerSecond:           c.ConnsPerSecond,
		MaxSubscriptionsPerClient:      c.MaxSubs,
		SubscriptionChangesPerMinute:   c.SubsPerMinute,
		MessagesPerSecond:              c.MsgsPerSecond,
		MaxMessageBytes:                c.MaxMessage,
		BytesPerSecond:                 c.BytesPerSecond,
		ByteBurst:                      c.byteBurst(),
		MaxRequests:                    c.MaxRequests,
		MaxRequestsPerClient:           c.MaxRequestsPer,
		RequestsPerMinute:              c.ReqsPerMinute,
		IdleTimeout:                    time.Duration(c.IdleMs) * time.Millisecond,
		DryRun:                         c.DryRun,
	}
}

// byteBurst is how many bytes of one connection are read at once: what a client sends
// that comes back to many jobs, and the largest message that the transport takes.
func (c Config) byteBurst() int {
	if c.BytesPerSecond == 0 {
		return 0
	}
	const seconds = 8
	return max(seconds*c.BytesPerSecond, int(c.MaxPayload))
}

func (c Config) DrainPeriod() time.Duration { return time.Duration(c.DrainSeconds) * time.Second }

func (c Config) Address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// NeedsOfNATS returns which parts of the service need permissions of their own.
func (c Config) NeedsOfNATS() eventstore.Needs {
	return eventstore.Needs{
		Consumers: c.MongoDBURI != "" && c.Has(RoleProject),
		Sessions:  c.RecoveryTTL > 0 && c.Has(RoleFanout),
		Shares:    (c.MaxCluster > 0 || c.MaxClusterPer > 0) && c.Has(RoleFanout),
	}
}

// SessionTTL returns how long the state of a session has to stay for it to be recovered for
// a time: it is saved twice in that, and has to outlive the pause.
func SessionTTL(recovery time.Duration) time.Duration { return recovery * 3 / 2 }

// RecoveryTTL returns for how long sessions can be recovered whose states have a time to
// live.
func RecoveryTTL(session time.Duration) time.Duration { return session * 2 / 3 }

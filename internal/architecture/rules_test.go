package architecture_test

// module is the path of this project; import paths below it are written
// relative to it in the rules.
const module = "github.com/letswriteabook/realtime"

// The dependencies that the rules speak of, by the start of their import paths.
const (
	backoff    = "github.com/cenkalti/backoff/v5"
	cobra      = "github.com/spf13/cobra"
	otel       = "go.opentelemetry.io/otel"
	pflag      = "github.com/spf13/pflag"
	envParser  = "github.com/caarlos0/env/v11"
	ferretDB   = "github.com/FerretDB/FerretDB"
	gorilla    = "github.com/gorilla/websocket"
	histogram  = "github.com/HdrHistogram/hdrhistogram-go"
	jsonSchema = "github.com/santhosh-tekuri/jsonschema/v6"
	melody     = "github.com/olahol/melody"
	miniredis  = "github.com/alicebob/miniredis/v2"
	mongo      = "go.mongodb.org/mongo-driver/v2"
	natsClient = "github.com/nats-io/nats.go"
	natsServer = "github.com/nats-io/nats-server/v2"
	nkeys      = "github.com/nats-io/nkeys"
	prometheus = "github.com/prometheus/client_golang"
	redis      = "github.com/redis/go-redis/v9"
	tables     = "github.com/jedib0t/go-pretty/v6"
	tomlParser = "github.com/BurntSushi/toml"
	textPrint  = "golang.org/x/text"
	xSync      = "golang.org/x/sync"
	xTime      = "golang.org/x/time"

	// anything allows every import that no confinement reserves for others.
	anything = "*"
	// goStatement is how a started goroutine is named among the uses of a file.
	goStatement = "go statement"
)

// plumbing carries no knowledge of a backend, so every package that runs
// something may use it.
var plumbing = []string{backoff, prometheus, xSync, xTime}

// rule says what the packages of one folder may depend on. The rule with the
// longest matching folder decides, so a subfolder without a rule of its own
// inherits. A package may always import the standard library and its own
// subfolders, unless never says otherwise.
type rule struct {
	folder  string
	project []string // packages of this module, each with its subfolders
	modules []string // packages of other modules, by prefix
	never   []string // standard packages, or uses such as time.Now
	why     string
}

// rules is the direction of data as imports: messaging imports no other package, the four
// parts that own a backend or a socket know only messaging, and internal/server
// wires them. They bind code that ships; tests may reach for real servers.
var rules = []rule{
	{
		folder:  "messaging",
		modules: []string{jsonSchema, textPrint},
		never:   []string{goStatement, "log", "log/slog", "net", "net/http", "time.Now"},
		why:     "the contract is values and pure functions; it may use a JSON Schema validator, no project package and no driver",
	},
	{
		folder:  "publisher",
		project: []string{"messaging", "internal/filelock", "internal/wait"},
		modules: append([]string{redis, otel}, plumbing...),
		why:     "a producer's side of the contract: it knows Redis, HTTP, the application's OpenTelemetry and nothing of the service",
	},
	{
		folder:  "guardrails",
		project: []string{"messaging"},
		never: []string{
			goStatement, "context", "log", "log/slog", "net", "net/http", "os",
			"time.After", "time.AfterFunc", "time.NewTicker", "time.NewTimer", "time.Now",
			"time.Since", "time.Sleep", "time.Tick", "time.Until",
		},
		why: "policy is pure decisions over messaging; time comes in as a parameter, and there are no goroutines, logs or I/O",
	},
	{
		folder:  "ingest",
		project: []string{"messaging", "internal/contain", "internal/measure", "internal/probe", "internal/outage", "internal/wait"},
		modules: append([]string{redis}, plumbing...),
		why:     "ingest owns Redis and reaches the log through an interface of its own; never NATS, MongoDB or sockets",
	},
	{
		folder:  "eventstore",
		project: []string{"messaging", "eventstore", "internal/contain", "internal/measure", "internal/address", "internal/outage", "internal/wait"},
		modules: append([]string{natsClient}, plumbing...),
		why:     "eventstore owns JetStream; never Redis, MongoDB or sockets",
	},
	{
		folder:  "eventstore/internal/jet",
		project: []string{"internal/wait"},
		modules: append([]string{natsClient}, plumbing...),
		why:     "requests to JetStream know nothing of the log",
	},
	{
		folder:  "eventstore/internal/layout",
		project: []string{"messaging", "eventstore/internal/jet"},
		modules: []string{natsClient},
		why:     "the layout of the log is names and a codec",
	},
	{
		folder:  "eventstore/lease",
		project: []string{"eventstore/internal", "internal/wait"},
		modules: append([]string{natsClient}, plumbing...),
		why:     "the log asks for leases, so leases do not know the log",
	},
	{
		folder:  "eventstore/archive",
		project: []string{"eventstore/internal", "internal/wait", "messaging"},
		modules: append([]string{natsClient}, plumbing...),
		why:     "an archive works on streams; the log reads its own copies with it, so it does not know the log",
	},
	{
		folder:  "eventstore/audit",
		project: []string{"eventstore/internal", "messaging"},
		modules: append([]string{natsClient}, plumbing...),
		why:     "the audit trail outlives the log, so it does not know the log",
	},
	{
		folder:  "projections",
		project: []string{"messaging", "internal/contain", "internal/measure", "internal/probe", "internal/outage", "internal/wait"},
		modules: append([]string{mongo}, plumbing...),
		why:     "projections owns MongoDB and is fed through an interface of its own; never NATS, Redis or sockets",
	},
	{
		folder:  "fanout/hub",
		project: []string{"messaging", "internal/contain", "internal/measure", "internal/outage", "internal/wait"},
		modules: plumbing,
		never:   []string{"net", "net/http"},
		why:     "the hub delivers to sinks and reads history through interfaces of its own; never HTTP, sockets or the drivers of the stores",
	},
	{
		folder:  "fanout/gateway",
		project: []string{"messaging", "guardrails", "fanout/clients", "fanout/hub", "fanout/recorder", "fanout/socketio", "fanout/internal/drain", "internal/contain"},
		modules: append([]string{"github.com/klauspost/compress"}, plumbing...),
		why:     "the gateway owns the clients and enforces what guardrails decide; never the drivers of the stores",
	},
	{
		folder:  "fanout/clients",
		project: []string{"fanout/recorder"},
		why:     "descriptions of clients are values, for the gateway and for those who ask it",
	},
	{
		folder: "fanout/recorder",
		never:  []string{goStatement, "net", "net/http"},
		why:    "the recorder keeps values in memory, and imports no part of the service",
	},
	{
		folder:  "internal/contain",
		project: []string{"internal/wait"},
		modules: plumbing,
		why:     "a panic is kept from the process in one way, which knows no other package but the one that waits",
	},
	{
		folder: "internal/outage",
		why:    "outages are logged in one way, which imports no package of the service",
	},
	{
		folder:  "internal/measure",
		modules: []string{prometheus},
		why:     "durations are measured in one way, which imports no package of the service",
	},
	{
		folder:  "internal/tracing",
		project: []string{"messaging", "internal/outage"},
		modules: []string{otel, prometheus},
		why:     "spans are recorded and exported in one place; the parts report through interfaces of their own, and import nothing of OpenTelemetry",
	},
	{
		folder: "internal/caller",
		why:    "who sends a request is read from the request alone",
	},
	{
		folder: "internal/wholefile",
		why:    "a file is replaced in one way, which imports no package of the service",
	},
	{
		folder: "fanout/internal/drain",
		why:    "how things are ended one by one is the same for each transport, and knows none",
	},
	{
		folder:  "fanout/engineio",
		project: []string{"fanout/internal/drain", "internal/contain"},
		modules: append([]string{melody, gorilla, "github.com/klauspost/compress"}, plumbing...),
		why:     "the transport speaks Engine.IO and knows neither the gateway nor the contract",
	},
	{
		folder:  "fanout/socketio",
		project: []string{"fanout/engineio"},
		modules: append([]string{melody, gorilla}, plumbing...),
		why:     "the protocol speaks Socket.IO and knows neither the gateway nor the contract",
	},
	{
		folder: "operations",
		project: []string{
			"messaging", "guardrails", "ingest", "eventstore", "projections", "fanout",
			"internal/backends", "internal/config", "internal/natsserver", "internal/wait", "internal/wholefile",
		},
		modules: append([]string{tables}, plumbing...),
		why:     "an operators' tool uses the parts of the service and no driver of its own; it knows neither the gateway nor a command",
	},
	{
		folder:  "operations/examine",
		project: []string{"eventstore", "ingest", "projections", "operations/doctor", "operations/erasure", "internal/backends", "internal/config", "internal/filelock", "internal/machine", "internal/natsserver", "internal/redisdial"},
		modules: append([]string{mongo, redis}, plumbing...),
		why:     "it asks the servers themselves, and has package doctor judge the answers",
	},
	{
		folder:  "operations/work",
		project: []string{"messaging", "eventstore/lease", "projections", "operations", "internal/contain"},
		why:     "long work is done by an operator, as for the commands; a gateway provides the connection, and does not appear here",
	},
	{
		folder: "operations/doctor",
		why:    "the doctor judges values; operations/examine asks the servers",
	},
	{
		folder:  "operations/erasure",
		project: []string{"messaging", "eventstore", "projections", "operations/deadletters", "internal/wait"},
		why:     "an erasure works on what is stored, and imports nothing that serves it",
	},
	{
		folder:  "internal/cli",
		modules: []string{cobra, pflag},
		why:     "command lines share output and errors, and know nothing of the service",
	},
	{
		folder: "internal/wait",
		why:    "waiting imports no other package",
	},
	{
		folder:  "lab",
		project: []string{"lab"},
		modules: append([]string{tables}, plumbing...),
		why:     "the lab stands outside the service; what loads and hurts a system is no part of it",
	},
	{
		folder: "lab/oracle",
		why:    "the judge knows files and nothing else",
	},
	{
		folder:  "lab/report",
		project: []string{"lab/oracle"},
		modules: append([]string{tables}, plumbing...),
		why:     "a report is results on paper",
	},
	{
		folder: "deploy/cluster",
		why:    "configuration files are carried and nothing else",
	},
	{
		folder: "deploy/release/bill",
		why:    "a release is described by what Go says of it",
	},
	{
		folder:  "lab/volume",
		modules: []string{"github.com/hanwen/go-fuse/v2"},
		why:     "a file system that loses what was not synced knows no program that uses it",
	},
	{
		folder:  "lab/processes",
		project: []string{"deploy/cluster", "internal/freeaddr"},
		modules: plumbing,
		why:     "the lab starts processes and knows them by their protocols; what is done with them is the drill's",
	},
	{
		folder:  "lab/faults",
		project: []string{"messaging", "publisher", "eventstore", "projections", "lab", "operations", "internal/wait"},
		modules: append([]string{redis, natsClient, mongo}, plumbing...),
		why: "a fault stands outside the service: it publishes and writes documents as a worker does, follows as a client does, removes streams as another tool does, " +
			"and reads back what is stored",
	},
	{
		folder:  "lab/drills",
		project: []string{"messaging", "publisher", "eventstore", "projections", "lab", "operations", "internal/wait"},
		modules: plumbing,
		why:     "a drill is a fault with a script: it stands where lab/faults stands, and knows no driver",
	},
	{
		folder:  "lab/load",
		project: []string{"messaging", "lab/load", "internal/address", "internal/wait"},
		modules: append([]string{gorilla, histogram, mongo, redis}, plumbing...),
		why:     "the load test stands outside the service and knows it only by its contract",
	},
	{
		folder:  "lab/baseline",
		project: []string{"lab", "messaging", "internal/freeaddr", "internal/wait"},
		modules: plumbing,
		why:     "the baseline loads systems of real processes and is no part of the service",
	},
	{
		folder:  "lab/bench",
		project: []string{"lab", "messaging", "internal/wait"},
		modules: append([]string{gorilla, redis, "golang.org/x/sys"}, plumbing...),
		why:     "a benchmark stands outside the service: it publishes as a worker does, follows as a client does, and reads what the kernel counts",
	},
	{
		folder:  "internal",
		project: []string{anything},
		modules: []string{anything},
		why:     "internal wires the parts and provides servers for development and tests; nothing there may import a command",
	},
	{
		folder: "internal/server",
		project: []string{
			"messaging", "guardrails", "ingest", "eventstore", "projections", "fanout", "internal/admin", "internal/backends", "internal/buildinfo", "internal/caller", "internal/config", "internal/console",
			"operations", "internal/address", "internal/contain", "internal/highwater", "internal/machine", "internal/tlsfiles", "internal/token", "internal/tracing", "internal/wait",
		},
		modules: []string{anything},
		why:     "the gateway is wired of the service's parts; what operators do is operations, which it gives the API",
	},
	{
		folder:  "internal/admin",
		project: []string{"messaging", "eventstore", "fanout/clients", "fanout/recorder", "internal/caller", "internal/config", "operations/deadletters", "operations/inspect", "operations/work"},
		modules: plumbing,
		why:     "the operators' API works on what is stored, and asks the gateways over the log's connection; it imports no driver and no part that serves clients, but the values that describe them",
	},
	{
		folder: "internal/console",
		why:    "the console is files, which ask the operators' API for everything",
	},
	{
		folder:  "internal/machine",
		modules: []string{"github.com/KimMachineGun/automemlimit"},
		why:     "what the operating system allows depends on no package of the project",
	},
	{
		folder:  "internal/backends",
		project: []string{"eventstore", "ingest", "projections", "internal/config", "internal/natsserver", "internal/redisdial"},
		modules: []string{natsClient, redis, mongo},
		why:     "connections are opened in the same way for the gateway and for operators; it knows neither",
	},
	{
		folder:  "internal/config",
		project: []string{"messaging", "guardrails", "eventstore", "projections", "internal/address", "internal/natsserver", "internal/redisdial", "internal/tlsfiles", "internal/token", "internal/tracing"},
		modules: []string{envParser, nkeys, tomlParser},
		why:     "settings are checked by the packages that they are for; nothing is opened and nothing is started",
	},
	{
		folder: "cmd/realtime",
		project: []string{
			"messaging", "operations", "internal/server", "internal/config", "internal/backends", "internal/buildinfo", "internal/client", "internal/cli", "internal/machine", "internal/signals",
			"eventstore", "projections", // the values and errors of operations
		},
		modules: []string{cobra, envParser},
		why: "a command is flags, environment, signals and exit codes; the rest is internal/server, operations or, for what it asks of a running gateway, " +
			"internal/client; what loads and hurts systems is realtime-lab",
	},
	{
		folder:  "cmd/realtime-lab",
		project: []string{"lab", "operations", "internal/backends", "internal/cli", "internal/config", "internal/signals"},
		modules: []string{cobra, envParser},
		why:     "the lab's command has flags and output; the rest is lab, and operations where a drill erases its own jobs",
	},
	{
		folder:  "cmd/realtime-dev",
		project: []string{"messaging", "internal/config", "internal/server", "internal/client", "internal/devpage", "internal/devstack", "internal/sample", "internal/signals"},
		modules: []string{cobra, envParser},
		why:     "the development command adds the development stack and its page to the application",
	},
}

// confinement reserves an import, or a use such as os.Getenv, for a few
// folders, whatever the rules of other folders allow.
type confinement struct {
	what    []string
	folders []string
	tests   bool // whether tests everywhere may use it too
	why     string
}

var confinements = []confinement{
	{
		what:    []string{ferretDB},
		folders: []string{"internal/devstack"},
		why:     "FerretDB scans collections; it is for development and must not get into the server",
	},
	{
		what:    []string{miniredis},
		folders: []string{"internal/devstack"},
		tests:   true,
		why:     "miniredis keeps nothing; it is for development and must not get into the server",
	},
	{
		what:    []string{"internal/devstack"},
		folders: []string{"cmd/realtime-dev", "internal/devstack", "internal/testkit"},
		tests:   true,
		why:     "the development stack belongs to the development command",
	},
	{
		what:    []string{natsServer},
		folders: []string{"internal/natsserver", "internal/testkit/logkit"},
		tests:   true,
		why:     "the service starts the embedded server in one place, and the test kit starts servers for tests",
	},
	{
		what:    []string{melody},
		folders: []string{"fanout"},
		why:     "melody's edges are covered in fanout and nowhere else",
	},
	{
		what:    []string{"internal/testkit"},
		folders: []string{"internal/testkit"},
		tests:   true,
		why:     "the test kit starts programs for tests",
	},
	{
		what:    []string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv", "syscall.Getenv", "syscall.Environ", envParser},
		folders: []string{"cmd", "deploy/release/bill", "internal/config", "internal/testkit"},
		tests:   true,
		why:     "only the commands, internal/config and the test kit read the environment; everything else is given its settings",
	},
}

// The longest a file may be, in lines. A longer one has two subjects; a type that is one
// thought should be readable in one file.
const (
	maxLines     = 600
	maxTestLines = 800
)

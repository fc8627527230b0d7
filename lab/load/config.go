package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/internal/address"
)

// ErrUnknownKey is matched when a configuration file has an unknown key;
// the error names those that are allowed.
var ErrUnknownKey = errors.New("unknown key")

// Config says which deployment is loaded, and how. Start from [DefaultConfig].
type Config struct {
	// APIURL is the address of the gateway, or of several, separated by commas:
	// sockets are then spread over them, and the figures of their pages added up.
	APIURL string `json:"apiUrl"`
	// MetricsPath and WebsocketPath are paths on it.
	MetricsPath   string `json:"metricsPath"`
	WebsocketPath string `json:"websocketPath"`
	// Origin is sent as a browser would; empty sends none.
	Origin string `json:"origin"`
	// AlternateOrigin is another one, which origin-quota tries once the limit of the
	// first is met; empty: it does not.
	AlternateOrigin string `json:"alternateOrigin"`
	// RedisURL is where events are published; empty: nowhere, and what needs it is
	// skipped. MongoURI is where catch-up-burst seeds; empty: it publishes.
	RedisURL string `json:"redisUrl"`
	MongoURI string `json:"mongoUri"`
	// ConnectTimeoutMs and DisconnectTimeoutMs bound how long one socket may take
	// to join, and the metrics page to forget it.
	ConnectTimeoutMs    int `json:"connectTimeoutMs"`
	DisconnectTimeoutMs int `json:"disconnectTimeoutMs"`
	// Schema names the JSON Schema of the file for editors, and is not read.
	Schema string `json:"$schema"`
	// Options are for all scenarios, ScenarioOptions by the name of one.
	Options         json.RawMessage            `json:"options"`
	ScenarioOptions map[string]json.RawMessage `json:"scenarioOptions"`
	// Scenarios are those of a suite in order; empty: all.
	Scenarios []string `json:"scenarios"`

	// InternalToken opens the metrics page of a gateway that is not on this
	// machine, and Token is a client's. They are no keys of the file.
	InternalToken string `json:"-"`
	Token         string `json:"-"`
}

// DefaultConfig is a gateway in development on this machine.
func DefaultConfig() Config {
	return Config{
		APIURL: "http://localhost:3001", MetricsPath: "/internal/realtime/metrics", WebsocketPath: "/ws",
		Origin: "http://localhost:5173", RedisURL: "redis://localhost:6379",
		ConnectTimeoutMs: 10_000, DisconnectTimeoutMs: 5_000,
	}
}

// LoadConfig reads a file over the defaults. names are those of the scenarios that
// there are. The error names the file and the key.
func LoadConfig(path string, names []string) (Config, error) {
	cfg := DefaultConfig()
	text, err := os.ReadFile(path)
	if err != nil {
		return cfg, fmt.Errorf("configuration: %w", err)
	}
	if err := cfg.read(text, names); err != nil {
		return cfg, fmt.Errorf("configuration %s: %w", path, err)
	}
	return cfg, nil
}

func (c *Config) read(text []byte, names []string) error {
	var found map[string]json.RawMessage
	if err := json.Unmarshal(text, &found); err != nil {
		return fmt.Errorf("want a JSON object: %w", err)
	}
	allowed := fileKeys()
	for _, name := range sortedKeys(found) {
		if !slices.Contains(allowed, name) {
			return fmt.Errorf("%w %q: allowed are %s", ErrUnknownKey, name, strings.Join(allowed, ", "))
		}
	}
	if err := json.Unmarshal(text, c); err != nil {
		return err
	}
	if err := new(Options).merge(c.Options); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	for _, name := range sortedKeys(c.ScenarioOptions) {
		if !slices.Contains(names, name) {
			return fmt.Errorf("scenarioOptions: %w %q: allowed are %s", ErrUnknownKey, name, strings.Join(names, ", "))
		}
		if err := new(Options).merge(c.ScenarioOptions[name]); err != nil {
			return fmt.Errorf("scenarioOptions.%s: %w", name, err)
		}
	}
	for _, name := range c.Scenarios {
		if !slices.Contains(names, name) {
			return fmt.Errorf("scenarios: there is no %q: allowed are %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// fileKeys returns the keys of the file, in the order of the fields.
func fileKeys() []string {
	var names []string
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		if name := fields.Field(i).Tag.Get("json"); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// Validate names the first field that cannot be used.
func (c Config) Validate() error {
	for _, gateway := range c.Gateways() {
		parsed, err := url.Parse(gateway)
		if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			return fmt.Errorf("apiUrl is %q: want an address such as http://localhost:3001", address.Shown(gateway))
		}
	}
	switch {
	case !strings.HasPrefix(c.MetricsPath, "/"):
		return fmt.Errorf("metricsPath is %q: want a path that begins with /", c.MetricsPath)
	case !strings.HasPrefix(c.WebsocketPath, "/"):
		return fmt.Errorf("websocketPath is %q: want a path that begins with /", c.WebsocketPath)
	case c.ConnectTimeoutMs < 1:
		return fmt.Errorf("connectTimeoutMs is %d: want 1 or more", c.ConnectTimeoutMs)
	case c.DisconnectTimeoutMs < 1:
		return fmt.Errorf("disconnectTimeoutMs is %d: want 1 or more", c.DisconnectTimeoutMs)
	}
	return nil
}

// Gateways returns the addresses, without a slash at their ends.
func (c Config) Gateways() []string {
	var all []string
	for address := range strings.SplitSeq(c.APIURL, ",") {
		all = append(all, strings.TrimRight(strings.TrimSpace(address), "/"))
	}
	return all
}

// ConnectTimeout bounds how long one socket may take to join.
func (c Config) ConnectTimeout() time.Duration { return milliseconds(c.ConnectTimeoutMs) }

// DisconnectTimeout bounds how long the metrics page may count who has left.
func (c Config) DisconnectTimeout() time.Duration { return milliseconds(c.DisconnectTimeoutMs) }

// For returns the options of one scenario: the file's above its defaults, and
// above both what flags set.
func (c Config) For(name string, defaults Options, flags func(*Options)) (Options, error) {
	options := defaults
	for _, layer := range []json.RawMessage{c.Options, c.ScenarioOptions[name]} {
		if err := options.merge(layer); err != nil {
			return options, fmt.Errorf("options of %s: %w", name, err)
		}
	}
	if flags != nil {
		flags(&options)
	}
	if err := options.Validate(); err != nil {
		return options, fmt.Errorf("options of %s: %w", name, err)
	}
	return options, nil
}

package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Options are what a scenario can be told. Which it heeds, and its defaults, the
// scenario says; times are in milliseconds, as in the file.
type Options struct {
	Attempts           int    `json:"attempts,omitempty"`
	Extras             int    `json:"extras,omitempty"`
	JobCount           int    `json:"jobCount,omitempty"`
	DelayMs            int    `json:"delayMs,omitempty"`
	SettleMs           int    `json:"settleMs,omitempty"`
	EventCount         int    `json:"eventCount,omitempty"`
	ClientCount        int    `json:"clientCount,omitempty"`
	ReplayThresholdMs  int    `json:"replayThresholdMs,omitempty"`
	LatencyThresholdMs int    `json:"latencyThresholdMs,omitempty"`
	RedisResetSequence int    `json:"redisResetSequence,omitempty"`
	RedisResetDelayMs  int    `json:"redisResetDelayMs,omitempty"`
	RedisReset         string `json:"redisReset,omitempty"`
	EventBytes         int    `json:"eventBytes,omitempty"`
	SlowCount          int    `json:"slowCount,omitempty"`
	DurationMs         int    `json:"durationMs,omitempty"`
	RatePerSecond      int    `json:"ratePerSecond,omitempty"`
	IdleLimitMs        int    `json:"idleLimitMs,omitempty"`
}

// The targets of a Redis reset.
const (
	ResetPublisher  = "publisher"
	ResetSubscriber = "subscriber"
	ResetServer     = "server"
)

// Key is one option by its names.
type Key struct {
	// Name is that in the file, Flag that on the command line.
	Name, Flag string
	Usage      string
	number     func(*Options) *int
	text       func(*Options) *string
}

// keys lists every option. A flag of a time has no unit in its name; its usage
// says it.
var keys = []Key{
	{Name: "attempts", Flag: "attempts", Usage: "sockets to try; 0: the limit and extras", number: func(o *Options) *int { return &o.Attempts }},
	{Name: "extras", Flag: "extras", Usage: "how many beyond a limit are tried", number: func(o *Options) *int { return &o.Extras }},
	{Name: "jobCount", Flag: "job-count", Usage: "jobs; for subscription-cap those that are asked for, 0: the cap and extras", number: func(o *Options) *int { return &o.JobCount }},
	{Name: "delayMs", Flag: "delay", Usage: "milliseconds between two events", number: func(o *Options) *int { return &o.DelayMs }},
	{Name: "settleMs", Flag: "settle", Usage: "milliseconds after which what should come by itself counts as missing", number: func(o *Options) *int { return &o.SettleMs }},
	{Name: "eventCount", Flag: "event-count", Usage: "events to publish", number: func(o *Options) *int { return &o.EventCount }},
	{Name: "clientCount", Flag: "client-count", Usage: "sockets", number: func(o *Options) *int { return &o.ClientCount }},
	{Name: "replayThresholdMs", Flag: "replay-threshold", Usage: "milliseconds that a catch-up may take", number: func(o *Options) *int { return &o.ReplayThresholdMs }},
	{Name: "latencyThresholdMs", Flag: "latency-threshold", Usage: "milliseconds that 95 of 100 deliveries may take", number: func(o *Options) *int { return &o.LatencyThresholdMs }},
	{Name: "redisResetSequence", Flag: "redis-reset-sequence", Usage: "number of the event, from 1, with which Redis is reset; 0: it is not", number: func(o *Options) *int { return &o.RedisResetSequence }},
	{Name: "redisResetDelayMs", Flag: "redis-reset-delay", Usage: "milliseconds for which connections are cut, or the server is down", number: func(o *Options) *int { return &o.RedisResetDelayMs }},
	{Name: "redisReset", Flag: "redis-reset", Usage: "what is reset: publisher (the harness's connections), subscriber (the gateways' subscriptions) or server", text: func(o *Options) *string { return &o.RedisReset }},
	{Name: "eventBytes", Flag: "event-bytes", Usage: "size of an event, about", number: func(o *Options) *int { return &o.EventBytes }},
	{Name: "slowCount", Flag: "slow-count", Usage: "how many of the sockets stop reading for a while", number: func(o *Options) *int { return &o.SlowCount }},
	{Name: "durationMs", Flag: "duration", Usage: "milliseconds that the scenario lasts", number: func(o *Options) *int { return &o.DurationMs }},
	{Name: "ratePerSecond", Flag: "rate", Usage: "events published in a second", number: func(o *Options) *int { return &o.RatePerSecond }},
	{Name: "idleLimitMs", Flag: "idle-limit", Usage: "longest idle timeout that is worth waiting for, in milliseconds", number: func(o *Options) *int { return &o.IdleLimitMs }},
}

// Keys returns every option.
func Keys() []Key { return slices.Clone(keys) }

// Number returns the option's place, nil for one that is a word.
func (k Key) Number(o *Options) *int {
	if k.number == nil {
		return nil
	}
	return k.number(o)
}

// Text returns the option's place, nil for one that is a number.
func (k Key) Text(o *Options) *string {
	if k.text == nil {
		return nil
	}
	return k.text(o)
}

// Validate names the first option that makes no sense.
func (o Options) Validate() error {
	for _, key := range keys {
		if number := key.Number(&o); number != nil && *number < 0 {
			return fmt.Errorf("%s is %d: want 0 or more", key.Name, *number)
		}
	}
	switch o.RedisReset {
	case "", ResetPublisher, ResetSubscriber, ResetServer:
		return nil
	}
	return fmt.Errorf("redisReset is %q: want %s, %s or %s", o.RedisReset, ResetPublisher, ResetSubscriber, ResetServer)
}

// Settle is how long something may take that should come by itself.
func (o Options) Settle() time.Duration { return milliseconds(o.SettleMs) }

// Delay is the time between two events.
func (o Options) Delay() time.Duration { return milliseconds(o.DelayMs) }

// Duration is how long the scenario lasts.
func (o Options) Duration() time.Duration { return milliseconds(o.DurationMs) }

// RedisResetDelay is how long Redis is out of reach.
func (o Options) RedisResetDelay() time.Duration { return milliseconds(o.RedisResetDelayMs) }

func milliseconds(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }

// merge lays an object of the file over the options. Only its keys change.
func (o *Options) merge(object json.RawMessage) error {
	if len(object) == 0 {
		return nil
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(object, &names); err != nil {
		return errors.New("want an object of options")
	}
	for _, name := range sortedKeys(names) {
		if !slices.ContainsFunc(keys, func(key Key) bool { return key.Name == name }) {
			return fmt.Errorf("%w %q: allowed are %s", ErrUnknownKey, name, strings.Join(keyNames(), ", "))
		}
	}
	if err := json.Unmarshal(object, o); err != nil {
		return err
	}
	return o.Validate()
}

func keyNames() []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = key.Name
	}
	return names
}

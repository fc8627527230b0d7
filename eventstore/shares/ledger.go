package shares

import (
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/messaging"
)

// ledger adds up the shares of the other gateways. It belongs to the goroutine
// of [Exchange.Run].
type ledger struct {
	lease    time.Duration
	gateways map[string]entry
	sum      messaging.Share
	others   func(messaging.Share)
}

// entry is what one gateway told, and when that was heard: by the clock here,
// so that clocks that differ change nothing.
type entry struct {
	share messaging.Share
	heard time.Time
}

// hear takes what a gateway told. A share that cannot be read counts as none.
func (l *ledger) hear(update jetstream.KeyValueEntry, now time.Time) {
	var share messaging.Share
	if update.Operation() != jetstream.KeyValuePut || json.Unmarshal(update.Value(), &share) != nil {
		delete(l.gateways, update.Key())
		l.settle(now)
		return
	}
	l.gateways[update.Key()] = entry{share: share, heard: now}
	l.settle(now)
}

// settle drops what has lapsed and tells the sum, if it has changed. It returns
// how many gateways it is of.
func (l *ledger) settle(now time.Time) int {
	sum := messaging.Share{PerOrigin: make(map[string]int)}
	for gateway, known := range l.gateways {
		if now.Sub(known.heard) >= l.lease {
			delete(l.gateways, gateway)
			continue
		}
		sum.Total += max(known.share.Total, 0)
		for origin, count := range known.share.PerOrigin {
			sum.PerOrigin[origin] += max(count, 0)
		}
	}
	if sum.Total != l.sum.Total || !reflect.DeepEqual(sum.PerOrigin, l.sum.PerOrigin) {
		l.sum = sum
		l.others(sum)
	}
	return len(l.gateways)
}

// metrics are the figures of the shares.
type metrics struct {
	failures prometheus.Counter
	gateways prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_eventstore_share_failures_total", Help: "Times the shares of gateways were out of reach.",
		}),
		gateways: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "realtime_eventstore_other_gateways", Help: "Other gateways whose share of connections is known.",
		}),
	}
	if registerer == nil {
		return m, nil
	}
	return m, errors.Join(registerer.Register(m.failures), registerer.Register(m.gateways))
}

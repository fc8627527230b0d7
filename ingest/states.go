package ingest

import "github.com/prometheus/client_golang/prometheus"

// state is a metric that is read from its owner when it is scraped.
type state struct {
	name, help string
	// counter is true if the value only grows.
	counter bool
	value   func() float64
}

func (s state) collector() prometheus.Collector {
	name := "realtime_ingest_" + s.name
	if s.counter {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: s.help}, s.value)
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: s.help}, s.value)
}

// intakeStates returns the metrics of the events on their way to the log.
func intakeStates(b *budget, l *letters, q *requests) []state {
	return []state{
		{"pending_events", "Events taken in and not stored yet.", false, func() float64 {
			events, _ := b.pending()
			return float64(events)
		}},
		{"pending_bytes", "Bytes of the events taken in and not stored yet.", false, func() float64 {
			_, bytes := b.pending()
			return float64(bytes)
		}},
		{"pending_dead_letters", "Dead letters that wait to be stored.", false, func() float64 {
			count, _ := l.budget.pending()
			return float64(count)
		}},
		{"dead_letters_failing", "1 while dead letters cannot be stored.", false, func() float64 {
			if l.failures.ongoing() {
				return 1
			}
			return 0
		}},
		{"backpressure_episodes_total", "Times that the intake of events waited for the log.", true, func() float64 {
			episodes, _ := b.pressure()
			return float64(episodes)
		}},
		{"backpressure_seconds_total", "Time that the intake of events has waited for the log.", true, func() float64 {
			_, waited := b.pressure()
			return waited.Seconds()
		}},
		{"http_pending_requests", "Requests to publish over HTTP that are under way.", false, func() float64 {
			count, _ := q.under()
			return float64(count)
		}},
		{"http_pending_bytes", "Memory of the bodies of requests to publish that are under way.", false, func() float64 {
			_, bytes := q.under()
			return float64(bytes)
		}},
	}
}

// subscriptionStates returns the metrics of the subscription to Redis; nil without Redis.
func subscriptionStates(o *outages) []state {
	if o == nil {
		return nil
	}
	return []state{
		{"subscribed", "1 while subscribed to Redis, else 0.", false, func() float64 {
			if o.err() != nil {
				return 0
			}
			return 1
		}},
		{"gaps_total", "Subscriptions after the first; before each, published events may have been missed.", true, func() float64 {
			gaps, _ := o.totals()
			return float64(gaps)
		}},
		{"outage_seconds_total", "Time without a subscription since the first.", true, func() float64 {
			_, silent := o.totals()
			return silent.Seconds()
		}},
	}
}

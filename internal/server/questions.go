package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/fanout/clients"
	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/fanout/recorder"
)

// startQuestions answers what this process is asked together with all others. The gateway
// is nil without its role.
func (a *App) startQuestions(gateway *gateway.Gateway) error {
	name := a.name
	responder, err := gateways.NewResponder(a.log.Client(), name, func(_ context.Context, question gateways.Question) (any, bool, error) {
		if question.Kind == recorder.QuestionNotes {
			var query recorder.Query
			if err := json.Unmarshal(question.Args, &query); err != nil {
				return nil, false, fmt.Errorf("read the question: %w", err)
			}
			notes, more := a.recorder.Find(query)
			notes, cut := clients.Newest(notes)
			return notes, more || cut, nil
		}
		var source clients.Source = nobody{}
		if gateway != nil {
			source = gateway
		}
		return clients.Answer(source, name, question.Kind, question.Args)
	}, a.guard, a.logger)
	if err != nil {
		return err
	}
	a.logger.Info("the process answers operators' questions", "gateway", name)
	a.loop("questions", responder.Run)
	a.questions.Store(responder)
	return nil
}

// nameMetric returns the gauge that has the name of the process as its label.
func nameMetric(name string) prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "realtime_app_gateway_info", Help: "Always 1. The label is the name of the process: GATEWAY_NAME, or the name of the machine with a random part.",
		ConstLabels: prometheus.Labels{"gateway": name},
	})
	info.Set(1)
	return info
}

// processName returns the name of a process without GATEWAY_NAME: that of the machine, and a
// random part, because several processes may run there.
func processName() string {
	host, err := os.Hostname()
	if err != nil || host == "" || strings.ContainsFunc(host, func(c rune) bool { return c < '!' || c > '~' }) {
		host = "unknown"
	}
	return fmt.Sprintf("%.100s-%s", host, strings.ToLower(rand.Text()[:6]))
}

// nobody is the clients of a process without the role fanout.
type nobody struct{}

func (nobody) Clients(clients.Filter, func(clients.Client)) {}
func (nobody) Followers(string, func(clients.Follower))     {}
func (nobody) Ended(time.Time, time.Time, clients.Filter, func(clients.Ended)) bool {
	return false
}
func (nobody) Stories(string) []clients.Story { return []clients.Story{} }
func (nobody) Close(clients.Closing) int      { return 0 }

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/lab/processes"
)

// metric returns the sum of the series with a name on a gateway's metrics page, over all
// labels.
func metric(ctx context.Context, gateway *processes.Process, name string) (float64, error) {
	return scrape(ctx, "http://"+gateway.Addr(), "", name)
}

// errNoMetric is returned if a page lacks a metric.
var errNoMetric = errors.New("no such metric")

// scrape is metric for the gateway at a base URL, with a token for its page.
func scrape(ctx context.Context, gateway, token, name string) (float64, error) {
	sums, err := scrapeAll(ctx, gateway, token, name)
	return sums[name], err
}

// scrapeAll returns the sums of several metrics of one page.
func scrapeAll(ctx context.Context, gateway, token string, names ...string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	status, page, err := get(ctx, gateway+"/metrics", token)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("metrics of %s: %d %s", gateway, status, http.StatusText(status))
	}
	if err != nil {
		return nil, err
	}
	sums := make(map[string]float64)
	for line := range strings.Lines(page) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ := strings.Cut(series, "{")
		if !slices.Contains(names, name) {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("metric %s is %q: %w", name, value, err)
		}
		sums[name] += number
	}
	for _, name := range names {
		if _, found := sums[name]; !found {
			return nil, fmt.Errorf("%s: %w: %s", gateway, errNoMetric, name)
		}
	}
	return sums, nil
}

// Metric returns the sum of a metric over the gateways.
func (t *Trial) Metric(ctx context.Context, name string) (float64, error) {
	sum := 0.0
	if t.Running() {
		for _, gateway := range t.running.Gateways {
			value, err := scrape(ctx, gateway, t.running.InternalToken, name)
			if errors.Is(err, errNoMetric) {
				continue // it has another role
			}
			if err != nil {
				return 0, err
			}
			sum += value
		}
		return sum, nil
	}
	for _, gateway := range t.Gateways {
		value, err := metric(ctx, gateway, name)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

// ExpectMetric measures the sum of a metric over the gateways, and fails if it is less than
// least.
func (t *Trial) ExpectMetric(ctx context.Context, name string, least float64) error {
	sum, err := t.Metric(ctx, name)
	if err != nil {
		return err
	}
	t.Measure(name, sum, "")
	if sum < least {
		return fmt.Errorf("%s is %v, want at least %v: what happened was not counted", name, sum, least)
	}
	return nil
}

package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/processes"
)

// get requests a gateway's page, with a token unless it is empty.
func get(ctx context.Context, url, token string) (status int, page string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(body)), err
}

// readyPage is the path of the page that shows whether a gateway can serve.
const readyPage = "/health/ready"

// AwaitReady waits until each gateway reports that it is ready.
func (t *Trial) AwaitReady(ctx context.Context) error {
	for _, gateway := range t.addresses(0) {
		var last error // the last error of the gateway, not of ctx
		for err := ready(ctx, gateway); err != nil; err = ready(ctx, gateway) {
			if ctx.Err() == nil {
				last = err
			}
			if waited := wait.For(ctx, 200*time.Millisecond); waited != nil {
				return errors.Join(last, waited)
			}
		}
	}
	return nil
}

// ready fails unless the gateway at a base URL reports that it is ready.
func ready(ctx context.Context, gateway string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	status, said, err := get(ctx, gateway+readyPage, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s is not ready: %.1000s", gateway, said)
	}
	return err
}

// notReady waits until the gateway reports that it is not ready, and returns its report.
func notReady(ctx context.Context, gateway *processes.Process) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		status, said, err := get(ctx, "http://"+gateway.Addr()+readyPage, "")
		if status == 0 {
			return "", err
		}
		if err == nil && status == http.StatusServiceUnavailable {
			return said, nil
		}
		if err := wait.For(ctx, 100*time.Millisecond); err != nil {
			return "", fmt.Errorf("%s says that it is ready: %w", gateway.Name(), err)
		}
	}
}

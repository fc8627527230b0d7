package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"time"
)

// maxSetBytes bounds the body of a key set. Real ones have a few kilobytes.
const maxSetBytes = 1 << 20

// errRedirect is returned for a redirect: keys are read only from the configured address.
var errRedirect = errors.New("the answer is a redirect; configure the address to which it leads")

// newClient returns a client that keeps no connection between two fetches, which are
// minutes apart, and does not follow redirects.
func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
}

// fetchKeySet fetches the published keys once.
func fetchKeySet(ctx context.Context, client *http.Client, url string, timeout time.Duration) (*keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("fetch key set: the address cannot be requested") // the cause would contain the address
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := client.Do(request)
	if err != nil {
		if detail := new(neturl.Error); errors.As(err, &detail) {
			err = detail.Err // without the address, which may hold a secret
		}
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch key set: the answer is %d", response.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxSetBytes+1))
	if err != nil {
		return nil, fmt.Errorf("fetch key set: read the answer: %w", err)
	}
	if len(raw) > maxSetBytes {
		return nil, fmt.Errorf("fetch key set: the answer is longer than %d bytes", maxSetBytes)
	}
	return parseKeySet(raw)
}

package metrics

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	requestTimeout = 10 * time.Second
	maxPageBytes   = 64 << 20
	// processPath is where a gateway has its Prometheus page.
	processPath = "/metrics"
)

// ErrUnauthorised is matched when a page needs a token.
var ErrUnauthorised = errors.New("the page needs the operators' token (INTERNAL_TOKEN)")

// Client asks gateways for their pages. It may be used concurrently.
type Client struct {
	gateways []string
	path     string
	token    string
	http     *http.Client
}

// NewClient returns a client of gateways, which have their page at the path. The
// token may be empty.
func NewClient(gateways []string, path, token string) *Client {
	// No connection is kept: gateways come and go.
	transport := &http.Transport{DisableKeepAlives: true}
	return &Client{gateways: gateways, path: path, token: token, http: &http.Client{Transport: transport, Timeout: requestTimeout}}
}

// Page returns the page of all gateways together. The error matches [ErrPage] or
// [ErrUnauthorised], or says that a gateway cannot be reached.
func (c *Client) Page(ctx context.Context) (Page, error) {
	var pages []Page
	for _, gateway := range c.gateways {
		page, err := c.page(ctx, gateway)
		if err != nil {
			return Page{}, err
		}
		pages = append(pages, page)
	}
	return Sum(pages)
}

// First returns the page of the first gateway.
func (c *Client) First(ctx context.Context) (Page, error) { return c.page(ctx, c.gateways[0]) }

func (c *Client) page(ctx context.Context, gateway string) (Page, error) {
	body, err := c.get(ctx, gateway+c.path)
	if err != nil {
		return Page{}, err
	}
	defer func() { _ = body.Close() }()
	var page Page
	if err := json.NewDecoder(io.LimitReader(body, maxPageBytes)).Decode(&page); err != nil {
		return Page{}, fmt.Errorf("metrics of %s: %w", gateway, err)
	}
	return page, nil
}

func (c *Client) get(ctx context.Context, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	_ = response.Body.Close()
	err = fmt.Errorf("%w: %s", ErrPage, response.Status)
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		err = fmt.Errorf("%w: %s", ErrUnauthorised, response.Status)
	}
	return nil, fmt.Errorf("metrics: %s: %w", url, err)
}

// Process is what the gateways' processes use, together.
type Process struct {
	MemoryBytes float64 `json:"memoryBytes"`
	Descriptors float64 `json:"descriptors"`
	Goroutines  float64 `json:"goroutines"`
	CPUSeconds  float64 `json:"cpuSeconds"`
}

// Process reads the Prometheus pages. A gateway without one is an error: a caller that
// can do without says so.
func (c *Client) Process(ctx context.Context) (Process, error) {
	var all Process
	for _, gateway := range c.gateways {
		body, err := c.get(ctx, gateway+processPath)
		if err != nil {
			return all, err
		}
		err = all.read(io.LimitReader(body, maxPageBytes))
		_ = body.Close()
		if err != nil {
			return all, fmt.Errorf("metrics of %s: %w", gateway, err)
		}
	}
	return all, nil
}

// read adds the four series of a page in Prometheus' text format; they have no
// labels, so a line is a name and a number.
func (p *Process) read(page io.Reader) error {
	wanted := map[string]*float64{
		"process_resident_memory_bytes": &p.MemoryBytes, "process_open_fds": &p.Descriptors,
		"go_goroutines": &p.Goroutines, "process_cpu_seconds_total": &p.CPUSeconds,
	}
	found := 0
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		into := wanted[name]
		if into == nil {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("%w: %s is %q", ErrPage, name, value)
		}
		*into += number
		found++
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if found < len(wanted) {
		return fmt.Errorf("%w: the Prometheus page lacks the figures of the process", ErrPage)
	}
	return nil
}

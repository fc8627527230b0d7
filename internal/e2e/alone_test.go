package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// member is one of three gateways that keep the log among themselves.
type member struct {
	t       *testing.T
	host    string   // its address
	prefix  []string // what runs the program in its network
	env     settings
	process *exec.Cmd
	output  *output
}

func (m *member) start() {
	m.t.Helper()
	command := append(slices.Clone(m.prefix), build(m.t, "realtime"), "serve")
	m.output = &output{listening: make(chan string, 1)}
	m.process = exec.Command(command[0], command[1:]...)
	m.process.Env = environ(m.env)
	m.process.Stdout, m.process.Stderr = m.output, m.output
	if err := m.process.Start(); err != nil {
		m.t.Fatal(err)
	}
}

// end ends the process, paused or not.
func (m *member) end(signal syscall.Signal) {
	if m.process == nil {
		return
	}
	_ = m.process.Process.Signal(syscall.SIGCONT)
	_ = m.process.Process.Signal(signal)
	overdue := time.AfterFunc(patience, func() { _ = m.process.Process.Kill() })
	defer overdue.Stop()
	_ = m.process.Wait() // a kill is an error
	m.process = nil
}

// request asks the gateway within a few seconds.
func (m *member) request(method, path, body string) (status int, answer []byte, err error) {
	request, err := http.NewRequest(method, "http://"+net.JoinHostPort(m.host, m.env["PORT"])+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+m.env["INTERNAL_TOKEN"])
	request.Header.Set("Content-Type", "application/json")
	// A dial into a network that is cut off ends before the request does.
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
	}}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

func (m *member) ready() error {
	status, answer, err := m.request(http.MethodGet, "/health/ready", "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, answer)
	}
	return err
}

// ids returns the ids of the events of a job, in the order of their sequences.
func (m *member) ids(job string) ([]string, error) {
	status, answer, err := m.request(http.MethodGet, "/api/novel/"+job+"/events?since=0&limit=1000", "")
	if err != nil || status != http.StatusOK {
		return nil, errors.Join(err, fmt.Errorf("status %d", status))
	}
	var page struct {
		Items []struct {
			ID       string `json:"id"`
			Sequence uint64 `json:"sequence"`
		} `json:"items"`
	}
	if err := json.Unmarshal(answer, &page); err != nil {
		return nil, err
	}
	var ids []string
	for _, item := range page.Items {
		ids = append(ids, fmt.Sprint(item.Sequence, " ", item.ID))
	}
	return ids, nil
}

// producer publishes each event until it is stored, to one gateway until that does not
// answer, and then to the next.
type producer struct {
	members []*member
	job     string
	stop    chan struct{}
	done    sync.WaitGroup

	mu     sync.Mutex // guards stored
	stored int
}

func (p *producer) run() {
	for number, at := 0, 0; ; {
		select {
		case <-p.stop:
			return
		default:
		}
		body := fmt.Sprintf(`{"kind":"job-status","jobId":%q,"status":"running","id":"event-%d"}`, p.job, number)
		status, _, err := p.members[at].request(http.MethodPost, "/api/realtime/events", body)
		if err == nil && status/100 == 2 {
			number++
			p.mu.Lock()
			p.stored = number
			p.mu.Unlock()
		} else {
			at = (at + 1) % len(p.members)
		}
		time.Sleep(20 * time.Millisecond) // a bound for the rate, as for the pages that are read at the end
	}
}

func (p *producer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stored
}

// more waits until some more events were stored.
func (p *producer) more(t *testing.T, what string) {
	t.Helper()
	want := p.count() + 20
	eventually(t, what, func() error {
		if got := p.count(); got < want {
			return fmt.Errorf("%d of %d events are stored", got, want)
		}
		return nil
	})
}

// faulty runs three gateways that have no NATS servers beside them, kills one and cuts
// one off while events are published, and compares what each serves in the end. Each fault
// takes an election and the return of a replica, about ten seconds on a quiet machine.
func faulty(t *testing.T, members []*member, cut, mend func(*member)) {
	t.Helper()
	var routes []string
	for _, m := range members {
		routes = append(routes, m.env["NATS_CLUSTER_LISTEN"])
	}
	authority := testkit.NewAuthority(t)
	for i, m := range members {
		cert, key := authority.IssueFor(fmt.Sprint("gateway-", i), net.ParseIP(m.host))
		for name, value := range map[string]string{
			"HOST": m.host, "NATS_CLUSTER": strings.Join(routes, ","), "NATS_NODE": fmt.Sprint("gateway-", i), "STREAM_REPLICAS": "3",
			"NATS_USER": "gateways", "NATS_PASSWORD": "0123456789abcdef", "NATS_TLS_CA_FILE": authority.File, "NATS_TLS_CERT_FILE": cert, "NATS_TLS_KEY_FILE": key,
			"DATA_DIR": t.TempDir(), "NATS_SYNC": "10s", "DRAIN_SECONDS": "0", "INTERNAL_TOKEN": "0123456789abcdef", "CANARY_INTERVAL": "1s",
		} {
			m.env[name] = value
		}
		t.Cleanup(func() {
			m.end(syscall.SIGKILL)
			if t.Failed() {
				t.Logf("the last words of %s:\n%s", m.env["NATS_NODE"], m.output.tail())
			}
		})
		m.start()
	}
	everyone := func() {
		t.Helper()
		for _, m := range members {
			eventually(t, m.env["NATS_NODE"]+" is ready", m.ready)
		}
	}
	everyone()
	p := &producer{members: members, job: "alone", stop: make(chan struct{})}
	p.done.Go(p.run) // ends with stop
	stop := sync.OnceFunc(func() {
		close(p.stop)
		p.done.Wait()
	})
	t.Cleanup(stop)
	p.more(t, "events before any fault")
	members[0].end(syscall.SIGKILL)
	p.more(t, "events without the gateway that was killed")
	members[0].start()
	everyone()
	cut(members[1])
	p.more(t, "events without the gateway that is cut off")
	mend(members[1])
	everyone()
	p.more(t, "events after the faults")
	stop()
	want := p.count()
	var first []string
	for i, m := range members {
		eventually(t, "all events at "+m.env["NATS_NODE"], func() error {
			got, err := m.ids(p.job)
			if err != nil {
				return err
			}
			// One more may be stored than was acknowledged.
			if len(got) < want || len(got) > want+1 {
				return fmt.Errorf("%d events, want %d", len(got), want)
			}
			if i == 0 {
				first = got
			}
			if !slices.Equal(got, first) {
				return errors.New("other events than at gateway-0")
			}
			return nil
		})
	}
	for number := range want {
		if !slices.ContainsFunc(first, func(id string) bool { return strings.HasSuffix(id, fmt.Sprint(" event-", number)) }) {
			t.Errorf("event %d was acknowledged and is lost", number)
		}
	}
	t.Logf("%d events were acknowledged, %d are stored, none is lost", want, len(first))
}

// TestGatewaysKeepTheLog: three gateways on one machine, one killed, one paused.
func TestGatewaysKeepTheLog(t *testing.T) {
	t.Parallel()
	var members []*member
	for range 3 {
		_, port, _ := net.SplitHostPort(testkit.FreeAddr(t))
		members = append(members, &member{t: t, host: "127.0.0.1", env: settings{"PORT": port, "NATS_CLUSTER_LISTEN": testkit.FreeAddr(t)}})
	}
	signal := func(signal syscall.Signal) func(*member) {
		return func(m *member) {
			if err := m.process.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
		}
	}
	faulty(t, members, signal(syscall.SIGSTOP), signal(syscall.SIGCONT))
}

// TestGatewaysKeepTheLogInNetworks: the same with a network each, of which one is cut off.
// It needs the right to make networks.
func TestGatewaysKeepTheLogInNetworks(t *testing.T) {
	t.Parallel()
	ip := func(args ...string) error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, bytes.TrimSpace(out))
		}
		return nil
	}
	id := os.Getpid() % 10_000
	bridge := fmt.Sprint("rtb", id)
	if err := ip("link", "add", bridge, "type", "bridge"); err != nil {
		t.Skipf("no right to make networks: %v", err)
	}
	t.Cleanup(func() { _ = ip("link", "del", bridge) })
	subnet := fmt.Sprintf("10.%d.%d.", 128+id/250, id%250)
	must := func(args ...string) {
		t.Helper()
		if err := ip(args...); err != nil {
			t.Fatal(err)
		}
	}
	must("addr", "add", subnet+"254/24", "dev", bridge)
	must("link", "set", bridge, "up")
	var members []*member
	for i := range 3 {
		space, outer := fmt.Sprint("rtn", id, "-", i), fmt.Sprint("rtv", id, "-", i)
		must("netns", "add", space)
		t.Cleanup(func() { _ = ip("netns", "del", space) })
		must("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
		must("link", "set", outer, "master", bridge, "up")
		host := fmt.Sprint(subnet, i+1)
		must("-n", space, "addr", "add", host+"/24", "dev", "eth0")
		must("-n", space, "link", "set", "eth0", "up")
		must("-n", space, "link", "set", "lo", "up")
		members = append(members, &member{
			t: t, host: host, prefix: []string{"ip", "netns", "exec", space},
			env: settings{"PORT": "3001", "NATS_CLUSTER_LISTEN": host + ":6222", "link": outer},
		})
	}
	faulty(
		t, members,
		func(m *member) { must("link", "set", m.env["link"], "down") },
		func(m *member) { must("link", "set", m.env["link"], "up") },
	)
}

package gateway_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/fanout/socketio"
)

// maxSteps bounds one sequence, maxLines its connections.
const (
	maxSteps = 64
	maxLines = 3
)

// FuzzSequences takes its input for a sequence of packets on a few connections: they
// connect, join and leave the namespace, or never join it, subscribe, recover, upgrade,
// break the rules and go, in any order. Whatever the order, the gateway holds nothing
// afterwards: no connection, subscription, room or session of the transport is counted, and
// no goroutine, descriptor or memory is left.
func FuzzSequences(f *testing.F) {
	for _, seed := range []string{
		"", "\x00\x01\x02\x03", "\x00\x02\x02\x02\x04\x04\x03\x05\x0b\x00\x06\x02\x02", "\x07\x02\x01\x08\x02\x01\x0b", "\x07\x08\x08\x08\x05\x05",
		"\x00\x02\x00\x0b\x06\x06\x06\x02\x00", "\x00\x0942[\x00\x0951-\x00\x0940/x,\x0a\xff", "\x00\x05\x04\x05\x04\x05\x04\x02\x01\x05\x04\x02\x01\x0b",
		"\x07\x0c\x0c\x0c\x08\x02\x01\x0d\x01\x0d\x01", "\x0f\x10\x0f\x10\x0c\x0f", "\x10\x08\x0f\x02\x01", strings.Repeat("\x00\x02\x01\x0b\x06\x0d\x01", 9),
	} {
		f.Add([]byte(seed))
	}
	s := setup(f, options{sessions: newMemorySessions(), sockets: func(c *socketio.Config) {
		const soon = 300 * time.Millisecond
		c.MaxEventBytes = 16 << 10
		c.PingInterval, c.PingTimeout, c.ConnectTimeout, c.UpgradeTimeout, c.WriteTimeout = soon, soon, soon, soon, soon
	}})
	// Measured in the process that runs the inputs, with its engine, and after what is made
	// once has been made.
	var measured sync.Once
	var before holding
	f.Fuzz(func(t *testing.T, steps []byte) {
		measured.Do(func() {
			warm := newSequence(t, s)
			warm.run([]byte("\x00\x02\x01\x07\x0d\x01"))
			warm.end()
			awaitNothing(t, s, holding{goroutines: 1 << 20, files: 1 << 20, heap: 1 << 40})
			time.Sleep(time.Second) // rooms linger
			before = holds()
		})
		sequence := newSequence(t, s)
		sequence.run(steps)
		sequence.end()
		awaitNothing(t, s, before)
	})
}

// holding is what a process holds.
type holding struct {
	goroutines, files int
	heap              uint64
}

func holds() holding {
	entries, _ := os.ReadDir("/proc/self/fd") // none elsewhere
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return holding{runtime.NumGoroutine(), len(entries), memory.HeapAlloc}
}

// awaitNothing waits until the gateway holds nothing for clients.
func awaitNothing(t testing.TB, s *stage, first holding) {
	t.Helper()
	// The fuzzing engine has goroutines and files of its own, and the diary, the log and
	// the kept sessions grow with what happens.
	const goroutines, files = 8, 8
	heap, limit := uint64(32<<20), patience
	if fuzzing := flag.Lookup("test.fuzz"); fuzzing != nil && fuzzing.Value.String() != "" {
		heap = 256 << 20        // the engine keeps inputs and takes 100 MB to exchange them
		limit = 8 * time.Second // it ends what takes 10 s, without saying what was left
	}
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		counts := s.snapshot()
		rooms := gathered(t, s.registry, "realtime_fanout_rooms")
		sessions := gathered(t, s.registry, "realtime_engineio_sessions_opened_total") - gathered(t, s.registry, "realtime_engineio_sessions_closed_total")
		gone := counts.TotalConnections == 0 && counts.TotalSubscriptions == 0 && counts.IdleClients == 0 && rooms == 0 && sessions == 0
		now := holding{goroutines: runtime.NumGoroutine()}
		if gone && now.goroutines <= first.goroutines+goroutines {
			if now = holds(); now.files <= first.files+files && now.heap <= first.heap+heap {
				break
			}
		}
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("left behind: %d connections, %d subscriptions, %v rooms, %v sessions, %+v after %+v\n%s",
				counts.TotalConnections, counts.TotalSubscriptions, rooms, sessions, now, first,
				stacks[:runtime.Stack(stacks, true)])
		}
	}
	s.diary.mu.Lock()
	s.diary.text.Reset()
	s.diary.mu.Unlock()
}

// sequence is one input at work.
type sequence struct {
	*stage
	lines []*party
	pids  []string // of sessions that could be recovered
}

// party is one client: a WebSocket, a session over polling, or on its way from one to
// the other.
type party struct {
	socket *websocket.Conn
	sid    string
	ended  chan struct{} // the reading goroutine of the socket has
	pids   chan string
}

func newSequence(t testing.TB, s *stage) *sequence { return &sequence{stage: s.in(t)} }

// run interprets the input: each byte is what to do, and some take the next one. The
// line that was opened last does it.
func (q *sequence) run(steps []byte) {
	next := func() byte {
		if len(steps) == 0 {
			return 0
		}
		b := steps[0]
		steps = steps[1:]
		return b
	}
	for n := 0; n < maxSteps && len(steps) > 0; n++ {
		q.collect()
		switch what := next(); what % 17 {
		case 0:
			q.open("")
			q.say("40")
		case 1:
			q.say(fmt.Sprintf(`42%d["subscribe",{"jobId":"job-%d"}]`, n, next()%4))
		case 2:
			q.say(fmt.Sprintf(`42["subscribe",{"jobId":"job-%d","since":%d}]`, next()%4, n))
		case 3:
			q.say(fmt.Sprintf(`42["unsubscribe",{"jobId":"job-%d"}]`, next()%4))
		case 4:
			q.say("40")
		case 5:
			q.say("41")
		case 6: // recover one's own session, another's, or none
			pid := "none"
			if len(q.pids) > 0 {
				pid = q.pids[int(next())%len(q.pids)]
			}
			q.open("")
			q.say(`40{"pid":"` + pid + `","offset":"1:1"}`)
		case 7:
			q.openPolling()
			q.say("40")
		case 8:
			if l := q.last(); l != nil && l.sid != "" {
				q.upgrade(l)
			}
		case 9:
			text := steps[:min(len(steps), int(next()%8))]
			q.say(string(text))
		case 10:
			if l := q.last(); l != nil && l.socket != nil {
				_ = l.socket.WriteMessage(websocket.BinaryMessage, []byte{4, next()})
			}
		case 11:
			q.close(q.last())
		case 12: // a poll that is given up
			if l := q.last(); l != nil && l.sid != "" {
				ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
				q.request(ctx, http.MethodGet, l.sid, "")
				cancel()
			}
		case 13:
			q.log.publish(fmt.Sprintf("job-%d", next()%4), 1)
		case 14: // more than is kept of one message
			q.say([]string{"42", "40", "43", "451-", ""}[next()%5] + `["` + strings.Repeat("x", 100_000) + `"]`)
		case 15: // never joins, unless a later step does
			q.open("")
		case 16:
			q.openPolling()
		}
	}
}

var pidIn = regexp.MustCompile(`"pid":"([^"]+)"`)

// collect notes the private ids that were told meanwhile.
func (q *sequence) collect() {
	for _, l := range q.lines {
		for more := true; more; {
			select {
			case pid := <-l.pids:
				q.pids = append(q.pids, pid)
			default:
				more = false
			}
		}
	}
}

func (q *sequence) last() *party {
	if len(q.lines) == 0 {
		return nil
	}
	return q.lines[len(q.lines)-1]
}

func (q *sequence) add(l *party) {
	if len(q.lines) == maxLines {
		q.close(q.lines[0])
	}
	q.lines = append(q.lines, l)
}

// open adds a WebSocket; with a sid one that probes for that session.
func (q *sequence) open(sid string) {
	if l := q.dialSocket(sid); l != nil {
		q.add(l)
	}
}

func (q *sequence) dialSocket(sid string) *party {
	dialer := websocket.Dialer{NetDialContext: q.dial, HandshakeTimeout: patience}
	conn, _, err := dialer.Dial("ws"+strings.TrimPrefix(q.url, "http")+"/ws?EIO=4&transport=websocket&sid="+sid, nil)
	if err != nil {
		return nil
	}
	l := &party{socket: conn, ended: make(chan struct{}), pids: make(chan string, maxSteps)}
	go func() { // ends with the connection
		defer close(l.ended)
		for {
			_, data, err := conn.ReadMessage()
			if err != nil {
				return
			}
			if pid := pidIn.FindSubmatch(data); pid != nil {
				select {
				case l.pids <- string(pid[1]):
				default:
				}
			}
		}
	}()
	return l
}

// upgrade moves a session over polling to a WebSocket.
func (q *sequence) upgrade(l *party) {
	probing := q.dialSocket(l.sid)
	if probing == nil {
		return
	}
	_ = probing.socket.WriteMessage(websocket.TextMessage, []byte("2probe"))
	_ = probing.socket.WriteMessage(websocket.TextMessage, []byte("5"))
	q.add(probing)
}

func (q *sequence) openPolling() {
	body := q.request(context.Background(), http.MethodGet, "", "")
	_, rest, _ := strings.Cut(body, `"sid":"`)
	if sid, _, found := strings.Cut(rest, `"`); found {
		q.add(&party{sid: sid})
	}
}

// request is one of polling. Its failure is the gateway's to decide.
func (q *sequence) request(ctx context.Context, method, sid, body string) string {
	request, err := http.NewRequestWithContext(ctx, method, q.url+"/ws?EIO=4&transport=polling&sid="+sid, strings.NewReader(body))
	if err != nil {
		q.t.Fatal(err)
	}
	response, err := q.client.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	content, _ := io.ReadAll(response.Body)
	return string(content)
}

// say sends a packet of Engine.IO as it is.
func (q *sequence) say(packet string) {
	l := q.last()
	switch {
	case l == nil:
	case l.socket != nil:
		_ = l.socket.WriteMessage(websocket.TextMessage, []byte(packet))
	default:
		q.request(context.Background(), http.MethodPost, l.sid, packet)
	}
}

// close ends a line as a client does that goes without a word.
func (q *sequence) close(l *party) {
	if l == nil {
		return
	}
	for i, other := range q.lines {
		if other == l {
			q.lines = append(q.lines[:i], q.lines[i+1:]...)
			break
		}
	}
	if l.socket != nil {
		_ = l.socket.Close()
		<-l.ended
	}
}

func (q *sequence) end() {
	for len(q.lines) > 0 {
		q.close(q.last())
	}
}

package faults

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
)

// hostile is a client that follows no rules. It has its own address, and repeats one kind
// of attack until its context ends.
type hostile struct {
	gateway string // host:port
	address *net.TCPAddr
	job     string // has a long history
	tries   *atomic.Int64
}

const (
	// hostileStep bounds one attempt. A client that holds a resource for longer releases it
	// and takes it again.
	hostileStep = 10 * time.Second
	// hostilePause keeps the attackers from being limited only by the machine, which they
	// share with the gateway.
	hostilePause = 50 * time.Millisecond
	// hostileFieldBytes is the size of the values that are far too long for their fields.
	hostileFieldBytes = 900_000
)

// attack is one attempt. Its connections end with it, and its errors are ignored, because
// the gateway's metrics show the outcome.
type attack func(ctx context.Context, h *hostile)

// attacks are the kinds of attacks, in the order in which the clients take them.
var attacks = []attack{
	longFields, unreadPages, bodilessRequests, timeQueries, leaveAndJoin, unfinishedPosts, halfUpgrades, brokenPackets, unreadSocket, forgedSessions,
}

// run repeats an attack.
func (h *hostile) run(ctx context.Context, try attack) {
	for ctx.Err() == nil {
		step, cancel := context.WithTimeout(ctx, hostileStep)
		try(step, h)
		cancel()
		h.tries.Add(1)
		_ = wait.For(ctx, hostilePause) // the loop sees the end of ctx
	}
}

// dial returns a connection that is closed when the context ends.
func (h *hostile) dial(ctx context.Context) (net.Conn, bool) {
	conn, err := (&net.Dialer{LocalAddr: h.address}).DialContext(ctx, "tcp", h.gateway)
	if err != nil {
		return nil, false
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return conn, true
}

// request sends a head, and what follows it, on a connection of its own.
func (h *hostile) request(ctx context.Context, head, rest string) (net.Conn, bool) {
	conn, ok := h.dial(ctx)
	if !ok {
		return nil, false
	}
	_, err := io.WriteString(conn, head+" HTTP/1.1\r\nHost: gateway\r\n"+rest)
	return conn, err == nil
}

// longFields sends messages whose fields are all far too long.
func longFields(ctx context.Context, h *hostile) {
	long := strings.Repeat("e", hostileFieldBytes)
	for _, message := range []string{
		`42["subscribe",{"jobId":"` + h.job + `","since":1,"epoch":"` + long + `"}]`,
		`42["subscribe",{"jobId":"` + long + `"}]`,
		`42["subscribe",{"jobId":"j","since":"` + long + `"}]`,
		`42["` + long + `"]`,
		`40{"pid":"` + long + `","offset":"x"}`,
		`40{"token":"` + long + `"}`,
		`42["subscribe",{"jobId":"x","` + long + `":1}]`,
	} {
		socket, ok := h.open(ctx, "40")
		if !ok {
			return
		}
		for range 8 {
			if !socket.say(message) {
				break
			}
		}
		_, _ = io.CopyN(io.Discard, socket.conn, 64)
		_ = socket.conn.Close()
	}
}

// unreadPages requests pages of history and reads none of them.
func unreadPages(ctx context.Context, h *hostile) {
	for range 8 {
		h.request(ctx, "GET /api/novel/"+h.job+"/events?limit=1000", "\r\n")
	}
	<-ctx.Done()
}

// bodilessRequests announces bodies that it never sends, on every path.
func bodilessRequests(ctx context.Context, h *hostile) {
	for _, target := range []string{
		"POST /nowhere", "POST /api/realtime/events", "GET /health", "HEAD /api/novel/j/events", "POST /ws/?EIO=4&transport=polling", "PUT /",
		"HEAD /api/realtime/jobs/j/stream", "GET /metrics",
	} {
		h.request(ctx, target, "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		h.request(ctx, target, "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
	}
	<-ctx.Done()
}

// timeQueries repeatedly queries history by time.
func timeQueries(ctx context.Context, h *hostile) {
	for ctx.Err() == nil {
		conn, ok := h.request(ctx, fmt.Sprintf("GET /api/novel/%s/events?limit=1&since=2020-01-01T00:00:%02d.000Z", h.job, rand.IntN(60)), "Connection: close\r\n\r\n")
		if !ok {
			return
		}
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
}

// leaveAndJoin repeatedly leaves its namespace and joins it again, with subscriptions in
// between.
func leaveAndJoin(ctx context.Context, h *hostile) {
	socket, ok := h.open(ctx, "40")
	if !ok {
		return
	}
	go func() { _, _ = io.Copy(io.Discard, socket.conn) }() // ends with the connection
	for n := 0; socket.say(fmt.Sprintf(`42["subscribe",{"jobId":"job-of-nobody-%d"}]`, n)) && socket.say("41") && socket.say("40"); n++ {
		_ = wait.For(ctx, time.Millisecond) // say returns false on a closed connection
	}
}

// unfinishedPosts sends most of a large body to a session over polling.
func unfinishedPosts(ctx context.Context, h *hostile) {
	body := strings.Repeat("x", hostileFieldBytes)
	for range 4 {
		sid, ok := h.openPolling(ctx)
		if !ok {
			return
		}
		h.request(ctx, "POST /ws/?EIO=4&transport=polling&sid="+sid, fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body)+1000, body))
	}
	<-ctx.Done()
}

// halfUpgrades probes for upgrades without finishing them, and opens sessions that never
// join a namespace.
func halfUpgrades(ctx context.Context, h *hostile) {
	for range 4 {
		sid, ok := h.openPolling(ctx)
		if !ok {
			return
		}
		if socket, ok := h.upgrade(ctx, "&sid="+sid); ok {
			socket.say("2probe")
		}
		h.upgrade(ctx, "")
	}
	_ = wait.For(ctx, hostileStep/2) // the attempt is over either way
}

// brokenPackets sends packets that cannot be parsed, and unfinished ones.
func brokenPackets(ctx context.Context, h *hostile) {
	random := make([]byte, 4096)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for _, packet := range []string{
		"459999-", `450-["x",{"_placeholder":true,"num":0}]`, `42["subscribe"`, "4" + strings.Repeat("[", 100_000), string(random), "40/nowhere,", "9",
	} {
		socket, ok := h.open(ctx, "40")
		if !ok {
			return
		}
		for range 4 {
			socket.say(packet)
		}
		_, _ = io.CopyN(io.Discard, socket.conn, 64)
		_ = socket.conn.Close()
	}
	if conn, ok := h.dial(ctx); ok {
		_, _ = conn.Write(random)
	}
}

// unreadSocket subscribes to jobs from their beginning, and reads nothing.
func unreadSocket(ctx context.Context, h *hostile) {
	for range 4 {
		socket, ok := h.open(ctx, "40")
		if !ok {
			return
		}
		socket.say(`42["subscribe",{"jobId":"` + h.job + `","since":0}]`)
		h.request(ctx, "GET /api/realtime/jobs/"+h.job+"/stream?since=0", "\r\n")
	}
	<-ctx.Done()
}

// forgedSessions asks to recover sessions that do not exist, and leaves sessions behind.
func forgedSessions(ctx context.Context, h *hostile) {
	for range 20 {
		socket, ok := h.open(ctx, fmt.Sprintf(`40{"pid":"%022d","offset":"0:0"}`, rand.Uint64()))
		if !ok {
			return
		}
		socket.say(`42["subscribe",{"jobId":"` + h.job + `"}]`)
		_ = socket.conn.Close()
	}
}

// rawSocket is a WebSocket whose frames are written by hand (RFC 6455, section 5.2).
type rawSocket struct{ conn net.Conn }

// open returns a socket that has requested its namespace.
func (h *hostile) open(ctx context.Context, connect string) (rawSocket, bool) {
	socket, ok := h.upgrade(ctx, "")
	return socket, ok && socket.say(connect)
}

func (h *hostile) upgrade(ctx context.Context, query string) (rawSocket, bool) {
	conn, ok := h.request(ctx, "GET /ws/?EIO=4&transport=websocket"+query,
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	if !ok {
		return rawSocket{}, false
	}
	var answer [12]byte // HTTP/1.1 101
	if _, err := io.ReadFull(conn, answer[:]); err != nil || string(answer[9:]) != "101" {
		_ = conn.Close()
		return rawSocket{}, false
	}
	return rawSocket{conn}, true
}

// say writes a text message, masked with zeros, and reports whether it succeeded.
func (s rawSocket) say(text string) bool {
	frame := []byte{0x81}
	switch {
	case len(text) < 126:
		frame = append(frame, 0x80|byte(len(text)))
	case len(text) < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(len(text)))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(len(text)))
	}
	frame = append(frame, 0, 0, 0, 0)
	_ = s.conn.SetWriteDeadline(time.Now().Add(hostileStep)) // fails as the write does
	_, err := s.conn.Write(append(frame, text...))
	return err == nil
}

// openPolling returns the id of a new session over polling.
func (h *hostile) openPolling(ctx context.Context) (string, bool) {
	conn, ok := h.request(ctx, "GET /ws/?EIO=4&transport=polling", "Connection: close\r\n\r\n")
	if !ok {
		return "", false
	}
	defer conn.Close()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", false
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 4096)) // a part of the answer may suffice
	_, rest, _ := strings.Cut(string(body), `"sid":"`)
	sid, _, found := strings.Cut(rest, `"`)
	return sid, found
}

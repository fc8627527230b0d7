package engineio_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// discard is a receiver that does nothing.
type discard struct{}

func (discard) Message([]byte, bool) {}
func (discard) Room()                {}
func (discard) Close(string)         {}

// fleet opens bare WebSockets, whose client end costs next to nothing.
type fleet struct {
	server   *engineio.Server
	web      *http.Server
	sessions []*engineio.Session
	conns    []net.Conn
}

func newFleet(tb testing.TB, size int) *fleet {
	tb.Helper()
	return newFleetOf(tb, size, discard{}, engineio.DefaultConfig(), 0)
}

// newFleetOf opens WebSockets with a pause between them.
func newFleetOf(tb testing.TB, size int, receiver engineio.Receiver, cfg engineio.Config, pause time.Duration) *fleet {
	tb.Helper()
	f := &fleet{}
	opened := make(chan *engineio.Session, 1)
	server, err := engineio.NewServer(cfg, func(session *engineio.Session) engineio.Receiver {
		opened <- session
		return receiver
	}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f.server, f.web = server, &http.Server{Handler: server}
	go func() { _ = f.web.Serve(listener) }() // ends with Close
	for range size {
		time.Sleep(pause)
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://app.test\r\nUser-Agent: "+strings.Repeat("x", 100)+"\r\n\r\n")
		f.conns = append(f.conns, conn)
		f.sessions = append(f.sessions, <-opened)
	}
	tb.Cleanup(func() {
		for _, conn := range f.conns {
			_ = conn.Close()
		}
		if err := f.server.Shutdown(context.Background()); err != nil {
			tb.Error(err)
		}
		_ = f.web.Close()
	})
	return f
}

// drain reads a connection to its end.
func drain(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// BenchmarkDelivery sends an event of 330 bytes to each of 1000 sockets that
// are read. ns/op is per delivery.
func BenchmarkDelivery(b *testing.B) {
	for _, burst := range []int{1, 100} {
		b.Run(fmt.Sprintf("burst=%d", burst), func(b *testing.B) {
			const sockets = 1000
			f := newFleet(b, sockets)
			frame := engineio.TextMessage(bytes.Repeat([]byte("x"), 329))
			wire := int64(len(frame.Data) + 4)
			var received atomic.Int64
			signal := make(chan struct{}, 1)
			for _, conn := range f.conns {
				go func() { // ends with the connection
					buffer := make([]byte, 32<<10)
					for {
						n, err := conn.Read(buffer)
						if err != nil {
							return
						}
						received.Add(int64(n))
						select {
						case signal <- struct{}{}:
						default:
						}
					}
				}()
			}
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			target := received.Load()
			for done := 0; done < b.N; {
				for range burst {
					for _, session := range f.sessions {
						for !session.Offer(frame) {
							runtime.Gosched()
						}
					}
				}
				done += burst * sockets
				target += int64(burst*sockets) * wire
				for received.Load() < target {
					<-signal
				}
			}
		})
	}
}

// BenchmarkReceive sends messages of 60 bytes over one WebSocket, 100 in a write.
func BenchmarkReceive(b *testing.B) {
	var received atomic.Int64
	signal := make(chan struct{}, 1)
	f := newFleetOf(b, 1, counting{&received, signal}, engineio.DefaultConfig(), 0)
	const burst = 100
	frame := append([]byte{0x81, 0x80 | 60, 0, 0, 0, 0}, append([]byte("4"), bytes.Repeat([]byte("x"), 59)...)...)
	write := bytes.Repeat(frame, burst)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += burst {
		if _, err := f.conns[0].Write(write); err != nil {
			b.Fatal(err)
		}
		for received.Load() < int64(done+burst) {
			<-signal
		}
	}
}

// counting is a receiver that counts messages.
type counting struct {
	received *atomic.Int64
	signal   chan struct{}
}

func (c counting) Message([]byte, bool) {
	c.received.Add(1)
	select {
	case c.signal <- struct{}{}:
	default:
	}
}
func (counting) Room()        {}
func (counting) Close(string) {}

// BenchmarkIdleSession reports the memory of a process per idle session, the
// client's end included (which is a bare connection).
func BenchmarkIdleSession(b *testing.B) {
	const sockets = 2000
	for b.Loop() {
		before := memoryInUse()
		f := newFleet(b, sockets)
		b.ReportMetric(float64(memoryInUse()-before)/sockets, "bytes/session")
		runtime.KeepAlive(f)
	}
}

// BenchmarkHeartbeat has 1000 WebSockets that do nothing but answer pings, which are spread
// over an interval of two seconds. An operation is one heartbeat; its cost includes the client's end.
func BenchmarkHeartbeat(b *testing.B) {
	const sockets = 1000
	cfg := engineio.DefaultConfig()
	cfg.PingInterval = 2 * time.Second
	f := newFleetOf(b, sockets, discard{}, cfg, cfg.PingInterval/sockets)
	pong := []byte{0x81, 0x81, 0, 0, 0, 0, '3'}
	var pings atomic.Int64
	var after atomic.Int64 // the ping that closes reached
	after.Store(math.MaxInt64)
	reached := make(chan struct{})
	reach := sync.OnceFunc(func() { close(reached) })
	for _, conn := range f.conns {
		go func() { // ends with the connection
			buffer := make([]byte, 4<<10)
			for {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				if string(buffer[:n]) != "\x81\x012" {
					continue // the open packet
				}
				if pings.Add(1) >= after.Load() {
					reach()
				}
				if _, err := conn.Write(pong); err != nil {
					return
				}
			}
		}()
	}
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	after.Store(pings.Load() + int64(b.N))
	<-reached
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}

// cpuTime returns the CPU time of this process so far.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkPayload(b *testing.B) {
	for _, packets := range []int{1, 100} {
		payload := bytes.Repeat([]byte("\x1e4[\"event\",{\"jobId\":\"job-1\"}]"), packets)[1:]
		b.Run(fmt.Sprintf("packets=%d", packets), func(b *testing.B) {
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				if err := engineio.CheckPayload(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

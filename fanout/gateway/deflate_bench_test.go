package gateway_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/messaging"
)

// textEvent returns a record of about a size: ids, numbers, and sentences of a few words,
// of which a fast compressor makes a third to a half.
func textEvent(jobID string, size int) messaging.Record {
	words := strings.Fields("the river chapter stone she walked morning under light novel with garden letter because slowly")
	random := rand.New(rand.NewPCG(1, 2))
	type item struct {
		ID   string `json:"id"`
		Page int    `json:"page"`
		Text string `json:"text"`
	}
	var items []byte
	for len(items) < size-250 {
		var text []string
		for range 12 {
			text = append(text, words[random.IntN(len(words))])
		}
		encoded, _ := json.Marshal(item{fmt.Sprintf("%016x", random.Uint64()), random.IntN(100_000), strings.Join(text, " ")}) // always marshals
		items = append(append(items, ','), encoded...)
	}
	body := fmt.Sprintf(`{"version":1,"kind":"domain","jobId":%q,"event":{"type":"chapter.saved","occurredAt":"2026-01-02T03:04:05Z","items":[%s]}}`, jobID, items[1:])
	return messaging.Record{JobID: jobID, Kind: messaging.KindDomain, Body: []byte(body)}
}

// BenchmarkCompression hands events of text to 500 sockets of one job, which read them and
// do not decompress them. It reports the processor time of both ends and the bytes on the
// wire for each delivery, and the memory of both ends of a socket before the first event.
func BenchmarkCompression(b *testing.B) {
	const sockets = 500
	for _, size := range []int{1_100, 50_000} {
		for _, compression := range []bool{false, true} {
			b.Run(fmt.Sprintf("bytes=%d/compression=%v", size, compression), func(b *testing.B) {
				before := memoryInUse()
				s := setup(b, options{withoutDB: true, deflate: compression})
				var read, messages atomic.Int64
				for range sockets {
					countMessages(b, s, &read, &messages)
				}
				caught := int64(sockets) * messagesBeforeEvents
				awaitCount(&messages, caught)
				memory := memoryInUse() - before
				event := textEvent("job-7f3a", size)
				s.log.append(event) // fills the pools
				awaitCount(&messages, caught+sockets)
				start, begun := read.Load(), processorTime(b)
				done := caught + sockets
				for b.Loop() {
					s.log.append(event)
					done += sockets
					awaitCount(&messages, done)
				}
				deliveries := float64(b.N) * sockets
				b.ReportMetric(float64(processorTime(b)-begun)/float64(time.Microsecond)/deliveries, "CPU-µs/delivery")
				b.ReportMetric(float64(read.Load()-start)/deliveries, "wire-bytes/delivery")
				b.ReportMetric(float64(memory)/sockets, "memory-bytes/socket")
			})
		}
	}
}

// messagesBeforeEvents are the open packet, the answer to CONNECT, and those to subscribe.
const messagesBeforeEvents = 4

// countMessages opens a socket that follows the job of the benchmark, and counts what it
// reads until the benchmark ends.
func countMessages(b *testing.B, s *stage, read, messages *atomic.Int64) {
	b.Helper()
	dialer := websocket.Dialer{EnableCompression: true, ReadBufferSize: 512, WriteBufferSize: 512}
	conn, _, err := dialer.Dial(strings.Replace(s.url, "http", "ws", 1)+"/ws?EIO=4&transport=websocket&recovery=true", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	conn.EnableWriteCompression(false)
	for _, packet := range []string{"40", `42["subscribe",{"jobId":"job-7f3a"}]`} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
			b.Fatal(err)
		}
	}
	go func() { // ends with the connection
		reader := bufio.NewReaderSize(meteredConn{conn.NetConn(), read}, 4096)
		for readMessage(reader) == nil {
			messages.Add(1)
		}
	}()
}

// readMessage reads a frame of the server and drops its content.
func readMessage(from *bufio.Reader) error {
	var header [10]byte
	if _, err := io.ReadFull(from, header[:2]); err != nil {
		return err
	}
	length := uint64(header[1])
	switch length {
	case 126:
		if _, err := io.ReadFull(from, header[:2]); err != nil {
			return err
		}
		length = uint64(binary.BigEndian.Uint16(header[:]))
	case 127:
		if _, err := io.ReadFull(from, header[:8]); err != nil {
			return err
		}
		length = binary.BigEndian.Uint64(header[:])
	}
	_, err := io.CopyN(io.Discard, from, int64(length)) // #nosec G115 -- a length of our own server
	return err
}

func awaitCount(counter *atomic.Int64, target int64) {
	for counter.Load() < target {
		time.Sleep(100 * time.Microsecond) // a busy loop would count as processor time
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// memoryInUse returns the memory of the heap and of stacks after a collection.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse) // #nosec G115 -- far smaller
}

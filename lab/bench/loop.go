package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"
)

// loop is the cost of a bare loop of writes: one frame built for each event and one write
// for each connection, without a log and queues. It is the lower bound for a server that
// sends each event to each socket with a system call of its own.
type loop struct {
	cpu  float64 // µs a delivery
	rate float64 // deliveries a second
}

// bareLoop writes events, with a pause between them, to connections that are read.
func bareLoop(sockets, events int, pause time.Duration) (_ *loop, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, listener.Close()) }()
	var servers []net.Conn
	for range sockets {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			return nil, err
		}
		defer func() { _ = client.Close() }()
		go func() { _, _ = io.Copy(io.Discard, client) }() // ends with the connection
		server, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		defer func() { _ = server.Close() }()
		servers = append(servers, server)
	}
	runtime.LockOSThread() // threadTime counts the time of this thread
	defer runtime.UnlockOSThread()
	before, err := threadTime()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for n := range events {
		time.Sleep(time.Until(began.Add(time.Duration(n) * pause)))
		frame := append([]byte{0x81, 126, byte(eventBytes >> 8), byte(eventBytes & 0xff)}, make([]byte, eventBytes)...)
		for _, server := range servers {
			if _, err := server.Write(frame); err != nil {
				return nil, fmt.Errorf("bare loop: %w", err)
			}
		}
	}
	took := time.Since(began)
	after, err := threadTime()
	if err != nil {
		return nil, err
	}
	deliveries := float64(sockets * events)
	return &loop{cpu: float64((after - before).Microseconds()) / deliveries, rate: deliveries / took.Seconds()}, nil
}

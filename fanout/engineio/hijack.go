package engineio

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// readBufferBytes is the read buffer of one WebSocket. Most client packets are
// far smaller, and larger ones are read past it.
const readBufferBytes = 256

// writeBufferBytes is the size of gorilla's pooled frame buffers.
const writeBufferBytes = 1024

// writeBuffers is shared by all WebSockets; an idle one holds none.
var writeBuffers sync.Pool

// handshakeHeaders are the request headers that melody needs to answer a handshake.
var handshakeHeaders = []string{
	"Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version",
}

var errHijacked = errors.New("engineio: connection already taken over")

// hijacked is the response of a connection that was already taken from net/http. Because
// melody runs it on a separate goroutine, net/http can free its buffers and its stack while
// the socket is open.
type hijacked struct {
	conn   *conn
	header http.Header
	taken  bool
}

// Header implements http.ResponseWriter.
func (h *hijacked) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter. Requests are checked before they
// are hijacked, so that no error response is left to write.
func (h *hijacked) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (h *hijacked) Write([]byte) (int, error) { return 0, http.ErrHijacked }

// Hijack implements http.Hijacker.
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if h.taken {
		return nil, nil, errHijacked
	}
	h.taken = true
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, 16), bufio.NewWriterSize(h.conn, 16)), nil
}

// serveWebSocket takes the connection over and runs it to its end on another
// goroutine, which counts it out of running; so does every return but an error,
// after which the response can still be written. stage says whether it starts
// the session or probes for an upgrade.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, session *Session, stage uint32) error {
	network, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	if buffered.Reader.Buffered() > 0 { // against RFC 6455
		_ = network.Close()
		session.endUnstarted()
		s.running.Done()
		return nil
	}
	_ = network.SetDeadline(time.Time{}) // net/http's; a failure shows at the first read
	socket := &webSocket{session: session, server: s}
	socket.stage.Store(stage)
	socket.conn = newConn(network, socket, s.metrics, s.cfg)
	socket.conn.scan.deflates = s.cfg.Compression && offersDeflate(r.Header)
	handshake := keepRequest(r, handshakeHeaders)
	request := handshake.request()
	if socket.conn.scan.deflates {
		request.Header.Set("Sec-Websocket-Extensions", "permessage-deflate")
	}
	// Ends when the connection does: by the client, the heartbeat or Shutdown.
	go socket.run(request)
	return nil
}

// run gives the connection to melody and returns when it has ended.
func (w *webSocket) run(request *http.Request) {
	defer w.server.running.Done()
	defer w.gone()
	defer w.server.guard.Recover("WebSocket reader", nil) // gone closes it
	// A failed handshake has closed the connection already.
	_ = w.server.melody.HandleRequest(&hijacked{conn: w.conn, header: http.Header{}}, request)
}

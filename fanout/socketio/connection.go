package socketio

import (
	"fmt"
	"slices"
	"sync"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// maxRefusals bounds the failed CONNECTs of one connection.
const maxRefusals = 16

// connection is one Engine.IO session and its sockets, at most one for each namespace.
// Except for sockets, its fields are only used in the session's turn.
type connection struct {
	server  *Server
	session *engineio.Session

	mu      sync.Mutex // guards sockets, which change in the turn only, and idle
	sockets []*Socket
	// idle closes a connection without a namespace; nil while it has one.
	idle *engineio.Timeout

	connected bool // a namespace was joined once
	refusals  int
	shared    any      // the owner's
	partial   *partial // the packet whose attachments are being read
}

func (s *Server) accept(session *engineio.Session) engineio.Receiver {
	c := &connection{server: s, session: session}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaitConnect()
	return c
}

// awaitConnect starts the time within which the client must join a namespace. The caller
// holds the mutex.
func (c *connection) awaitConnect() {
	c.idle = c.session.Timeout(c.server.cfg.ConnectTimeout, func() {
		c.server.metrics.late.Inc()
		c.session.Close(reasonConnectTimeout)
	})
}

// stopIdle stops that time.
func (c *connection) stopIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle != nil {
		c.idle.Stop()
		c.idle = nil
	}
}

const reasonConnectTimeout = "connect timeout"

// Message implements engineio.Receiver.
func (c *connection) Message(data []byte, binary bool) {
	c.close(c.read(data, binary))
}

// close closes the connection of a client that sent an invalid packet; it does nothing for
// nil.
func (c *connection) close(err error) {
	if err == nil {
		return
	}
	c.server.metrics.malformed.Inc()
	c.server.logger.Debug("close connection", "session", c.session.Tag(), "error", err)
	c.session.Close(engineio.ReasonParseError)
}

// Room implements engineio.Receiver.
func (c *connection) Room() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, socket := range c.sockets {
		socket.room.signal()
	}
}

// Close implements engineio.Receiver.
func (c *connection) Close(reason string) {
	c.stopIdle()
	c.dropPartial()
	for _, socket := range c.all() {
		socket.end(reason)
	}
	if handler, ok := c.server.handler.(ConnectionHandler); ok && c.shared != nil {
		handler.ConnectionClosed(c.shared)
	}
}

func (c *connection) read(data []byte, binary bool) error {
	if binary {
		return c.attach(data)
	}
	if c.partial != nil {
		return fmt.Errorf("%w: text among attachments", ErrPacket)
	}
	packet, err := parseHeader(data)
	if err != nil {
		return err
	}
	if limit := c.server.cfg.MaxEventBytes; limit > 0 && packet.Type == PacketEvent && len(packet.Data) > limit+frameBytes {
		c.oversized(packet, len(packet.Data))
		return nil
	}
	if err := packet.check(); err != nil {
		return err
	}
	if packet.binary() {
		return c.expect(packet)
	}
	return c.handle(packet, nil)
}

// frameBytes is the assumed maximum size of the JSON of an event without its name and
// arguments.
const frameBytes = 256

// oversized refuses an event that is too large without reading it.
func (c *connection) oversized(packet Packet, sizeBytes int) {
	handler, ok := c.server.handler.(OversizeHandler)
	if socket := c.find(packet.Namespace); ok && socket != nil && socket.open.Load() {
		var ack Ack
		if packet.HasID {
			ack = socket.acknowledge(packet.ID)
		}
		handler.Oversized(socket, sizeBytes, ack)
	}
}

// Oversize implements engineio.OversizeReceiver.
func (c *connection) Oversize(head []byte, sizeBytes int, binary bool) {
	c.close(c.readHead(head, sizeBytes, binary))
}

// readHead refuses a packet that is too large according to its beginning.
func (c *connection) readHead(head []byte, sizeBytes int, binary bool) error {
	if binary {
		return c.attachCut(sizeBytes)
	}
	if c.partial != nil {
		return fmt.Errorf("%w: text among attachments", ErrPacket)
	}
	packet, err := parseHeader(head)
	if err != nil {
		return err
	}
	if packet.Type == PacketEvent {
		c.oversized(packet, sizeBytes)
		return nil
	}
	if handler, ok := c.server.handler.(OversizeHandler); ok && packet.Type == PacketConnect {
		return c.turnAway(packet.Namespace, handler.RefuseOversized(sizeBytes))
	}
	return fmt.Errorf("%w: type %q of %d bytes", ErrPacket, byte(packet.Type), sizeBytes)
}

// handle handles a complete packet.
func (c *connection) handle(packet Packet, attachments Attachments) error {
	if packet.Type == PacketConnect {
		return c.connect(packet)
	}
	if !c.connected {
		return fmt.Errorf("%w: type %q before a namespace is joined", ErrPacket, byte(packet.Type))
	}
	socket := c.find(packet.Namespace)
	if socket == nil {
		return nil // sent before the client received the DISCONNECT
	}
	switch packet.Type {
	case PacketEvent, PacketBinaryEvent:
		return c.event(socket, packet, attachments)
	case PacketAck, PacketBinaryAck:
		if answer := socket.takeAck(packet.ID); answer != nil {
			answer(Answer{Args: splitArray(packet.Data), Attachments: attachments}, nil)
		}
		return nil
	case PacketDisconnect:
		socket.end(ReasonClientDisconnect)
		return nil
	default:
		return fmt.Errorf("%w: type %q from a client", ErrPacket, byte(packet.Type))
	}
}

func (c *connection) event(socket *Socket, packet Packet, attachments Attachments) error {
	name, args, err := splitEvent(packet.Data)
	if err != nil || !socket.open.Load() {
		return err
	}
	c.server.metrics.events.Inc()
	var ack Ack
	if packet.HasID {
		ack = socket.acknowledge(packet.ID)
	}
	if packet.Type == PacketEvent {
		c.server.handler.Event(socket, name, args, ack)
		return nil
	}
	handler, ok := c.server.handler.(BinaryHandler)
	if !ok {
		return fmt.Errorf("%w: attachments are not taken", ErrPacket)
	}
	handler.BinaryEvent(socket, name, args, attachments, ack)
	return nil
}

func (c *connection) all() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sockets)
}

func (c *connection) find(namespace string) *Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, socket := range c.sockets {
		if socket.namespace == namespace {
			return socket
		}
	}
	return nil
}

func (c *connection) add(socket *Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets = append(c.sockets, socket)
}

// remove removes a socket and reports whether it was present. A connection without sockets
// has ConnectTimeout to join a namespace again.
func (c *connection) remove(socket *Socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	index := slices.Index(c.sockets, socket)
	if index < 0 {
		return false
	}
	c.sockets = slices.Delete(c.sockets, index, index+1)
	if len(c.sockets) == 0 && c.session.Open() {
		c.awaitConnect()
	}
	return true
}

// disconnectAll closes the connection after a DISCONNECT to each socket.
func (c *connection) disconnectAll() {
	for _, socket := range c.all() {
		socket.leave()
		socket.end(ReasonServerDisconnect)
	}
	c.session.Close(ReasonServerDisconnect)
}

package socketio

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// connectCostBytes is added to the size of a CONNECT, because joining a namespace costs far
// more than reading an event.
const connectCostBytes = 4 << 10

// connect handles a CONNECT.
func (c *connection) connect(packet Packet) error {
	if c.find(packet.Namespace) != nil {
		return fmt.Errorf("%w: second CONNECT to one namespace", ErrPacket)
	}
	c.session.Charge(connectCostBytes)
	if !slices.Contains(c.server.cfg.Namespaces, packet.Namespace) {
		return c.refuse(packet.Namespace, &Refusal{Message: "Invalid namespace"})
	}
	socket := newSocket(c, packet.Namespace)
	c.add(socket)
	c.stopIdle()
	if refusal := c.server.handler.Connect(socket, packet.Data); refusal != nil {
		socket.end("")
		return c.turnAway(packet.Namespace, refusal)
	}
	c.connected = true
	c.server.metrics.joined.Inc()
	if leaving := socket.accept(); leaving {
		socket.leave()
		socket.end(ReasonServerDisconnect)
	}
	return nil
}

// turnAway refuses a CONNECT, and closes the connection if it has no other namespace.
func (c *connection) turnAway(namespace string, refusal *Refusal) error {
	if err := c.refuse(namespace, refusal); err != nil {
		return err
	}
	if len(c.all()) == 0 {
		c.session.Close(reasonRefused)
	}
	return nil
}

const reasonRefused = "connection refused"

// refuse answers CONNECT_ERROR. It fails when the connection has had too many of them.
func (c *connection) refuse(namespace string, refusal *Refusal) error {
	c.refusals++
	if c.refusals > maxRefusals {
		return fmt.Errorf("%w: more than %d refused namespaces", ErrPacket, maxRefusals)
	}
	data, err := json.Marshal(refusal)
	if err != nil {
		c.server.logger.Error("encode refusal", "session", c.session.Tag(), "error", err)
		data, _ = json.Marshal(Refusal{Message: refusal.Message}) // a string always marshals
	}
	c.server.metrics.refused.Inc()
	_ = c.session.Send(engineio.Frame(Packet{Type: PacketConnectError, Namespace: namespace, Data: data}.frame()))
	return nil
}

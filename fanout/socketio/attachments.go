package socketio

import (
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// partial is a binary packet that waits for its attachments: at most
// MaxAttachments of them, MaxPayloadBytes together, within AttachmentTimeout.
type partial struct {
	packet      Packet
	attachments Attachments
	bytes       int64
	timer       *time.Timer // stopped by the last attachment or the connection's end
}

// expect starts a binary packet.
func (c *connection) expect(packet Packet) error {
	if !c.connected {
		return fmt.Errorf("%w: attachments before a namespace is joined", ErrPacket)
	}
	if _, takes := c.server.handler.(BinaryHandler); !takes && packet.Type == PacketBinaryEvent {
		return fmt.Errorf("%w: attachments are not taken", ErrPacket)
	}
	if packet.Attachments > c.server.cfg.MaxAttachments {
		return fmt.Errorf("%w: %d attachments", ErrPacket, packet.Attachments)
	}
	if err := checkPlaceholders(packet.Data, packet.Attachments); err != nil {
		return err
	}
	if packet.Attachments == 0 {
		return c.handle(packet, nil)
	}
	session := c.session
	c.partial = &partial{
		packet: packet,
		timer:  time.AfterFunc(c.server.cfg.AttachmentTimeout, func() { session.Close(engineio.ReasonParseError) }),
	}
	return nil
}

// attach takes one attachment and handles the packet at the last.
func (c *connection) attach(data []byte) error {
	p := c.partial
	if p == nil {
		return fmt.Errorf("%w: attachment of no packet", ErrPacket)
	}
	p.bytes += int64(len(data))
	if p.bytes > c.server.cfg.MaxPayloadBytes {
		return fmt.Errorf("%w: attachments of more than %d bytes", ErrPacket, c.server.cfg.MaxPayloadBytes)
	}
	p.attachments = append(p.attachments, data)
	if len(p.attachments) < p.packet.Attachments {
		return nil
	}
	c.dropPartial()
	return c.handle(p.packet, p.attachments)
}

func (c *connection) dropPartial() {
	if c.partial != nil {
		c.partial.timer.Stop()
		c.partial = nil
	}
}

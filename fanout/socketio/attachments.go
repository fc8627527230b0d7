package socketio

import (
	"fmt"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// partial is a binary packet that waits for its attachments: at most MaxAttachments,
// MaxPayloadBytes together, within AttachmentTimeout. The attachments of an event that is
// refused for its size are not kept, whatever their size.
type partial struct {
	packet      Packet
	attachments Attachments
	received    int               // attachments, those that were dropped among them
	bytes       int64             // of all that were received
	tooLarge    bool              // the event is refused at its last attachment, and keeps none
	timer       *engineio.Timeout // stopped by the last attachment or the connection's end
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
		timer:  session.Timeout(c.server.cfg.AttachmentTimeout, func() { session.Close(engineio.ReasonParseError) }),
	}
	return nil
}

// attach takes one attachment, and handles the packet after the last one.
func (c *connection) attach(data []byte) error {
	p := c.partial
	if p == nil {
		return fmt.Errorf("%w: attachment of no packet", ErrPacket)
	}
	p.received++
	p.bytes += int64(len(data))
	if c.refusesAttachments(p) {
		return c.dropAttachment(p)
	}
	if p.bytes > c.server.cfg.MaxPayloadBytes {
		return fmt.Errorf("%w: attachments of more than %d bytes", ErrPacket, c.server.cfg.MaxPayloadBytes)
	}
	p.attachments = append(p.attachments, data)
	if p.received < p.packet.Attachments {
		return nil
	}
	c.dropPartial()
	return c.handle(p.packet, p.attachments)
}

// attachCut counts an attachment of which the transport kept only the beginning.
func (c *connection) attachCut(sizeBytes int) error {
	p := c.partial
	if p == nil {
		return fmt.Errorf("%w: attachment of no packet", ErrPacket)
	}
	p.received++
	p.bytes += int64(sizeBytes)
	if !c.refusesAttachments(p) {
		return fmt.Errorf("%w: an attachment of %d bytes", ErrPacket, sizeBytes)
	}
	return c.dropAttachment(p)
}

// refusesAttachments reports whether a packet is an event that its attachments make too
// large, and that can be answered with a refusal.
func (c *connection) refusesAttachments(p *partial) bool {
	limit := c.server.cfg.MaxEventBytes
	_, answers := c.server.handler.(OversizeHandler)
	if answers && limit > 0 && p.packet.Type == PacketBinaryEvent && p.bytes > int64(limit) {
		p.tooLarge = true
	}
	return p.tooLarge
}

// dropAttachment frees the kept attachments, and refuses the packet at its last attachment,
// after those that are still to arrive.
func (c *connection) dropAttachment(p *partial) error {
	p.attachments = nil
	if p.received < p.packet.Attachments {
		return nil
	}
	c.dropPartial()
	c.oversized(p.packet, len(p.packet.Data)+int(p.bytes))
	return nil
}

func (c *connection) dropPartial() {
	if c.partial != nil {
		c.partial.timer.Stop()
		c.partial = nil
	}
}

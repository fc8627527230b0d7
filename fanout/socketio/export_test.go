package socketio

// The parsers' parts that fuzzing holds against encoding/json.
var (
	CheckPlaceholders = checkPlaceholders
	SplitArray        = splitArray
)

// ParsePacket reads the text of one packet, as a connection does.
func ParsePacket(text []byte) (Packet, error) {
	packet, err := parseHeader(text)
	if err != nil {
		return Packet{}, err
	}
	return packet, packet.check()
}

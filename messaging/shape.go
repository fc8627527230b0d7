package messaging

// shape checks the fields of an envelope of one built-in kind directly, in place of
// the kind's JSON Schema. It returns true only for fields that the schema accepts,
// beside what [Catalogue.Decode] checks of every envelope; for all others the schema
// decides, and words the refusal. A kind of a catalogue file has no shape.
//
// It exists because the schema validator needs the whole envelope as a tree of maps,
// which costs ten times as much as everything else that Decode does.
type shape func(envelopeFields) bool

// builtInShapes has the shape of each built-in kind. FuzzShape holds them against
// the schemas.
var builtInShapes = map[Kind]shape{
	KindGeneration: eventShape,
	KindDomain:     eventShape,
	KindJobStatus:  statusShape,
}

// eventShape: the event is an object whose type and occurredAt are non-empty strings.
func eventShape(fields envelopeFields) bool {
	if len(fields.event) == 0 || fields.event[0] != '{' {
		return false
	}
	var kind, occurredAt []byte
	reader := objectReader{data: fields.event}
	for key, value, ok := reader.next(); ok; key, value, ok = reader.next() {
		switch string(plainKey(key)) {
		case "type":
			kind = value
		case "occurredAt":
			occurredAt = value
		}
	}
	return isFilledText(kind) && isFilledText(occurredAt)
}

// statusShape: the status is one of the four, and the snapshot an object or absent.
func statusShape(fields envelopeFields) bool {
	switch string(fields.status) {
	case `"queued"`, `"running"`, `"completed"`, `"failed"`:
		return len(fields.snapshot) == 0 || fields.snapshot[0] == '{'
	}
	return false
}

// isFilledText reports whether a checked value is a string that is not empty.
func isFilledText(value []byte) bool { return isText(value) && len(value) > len(`""`) }

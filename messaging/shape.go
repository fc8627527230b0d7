package messaging

// shape checks the fields of an envelope of a built-in kind without the kind's JSON
// Schema. It returns true only if the schema accepts the fields that [Catalogue.Decode]
// does not check for every kind. If it returns false, the schema decides, and its error
// is the text of the refusal. Kinds of a catalogue file have no shape.
//
// It exists because the schema validator needs the whole envelope as a tree of maps,
// which costs ten times as much as the rest of Decode.
type shape func(envelopeFields) bool

// builtInShapes has the shape of each built-in kind. FuzzShape compares them with the
// schemas.
var builtInShapes = map[Kind]shape{
	KindGeneration: eventShape,
	KindDomain:     eventShape,
	KindJobStatus:  statusShape,
}

// eventShape reports whether the event is an object whose type and occurredAt are
// non-empty strings.
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

// statusShape reports whether the status is one of the four, and the snapshot an object
// or absent.
func statusShape(fields envelopeFields) bool {
	switch string(fields.status) {
	case `"queued"`, `"running"`, `"completed"`, `"failed"`:
		return len(fields.snapshot) == 0 || fields.snapshot[0] == '{'
	}
	return false
}

// isFilledText reports whether a checked value is a non-empty string.
func isFilledText(value []byte) bool { return isText(value) && len(value) > len(`""`) }

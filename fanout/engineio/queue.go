package engineio

// frameOverheadBytes is the cost of a queued frame in addition to its data.
const frameOverheadBytes = 32

// queue holds the frames that no transport has taken yet, and counts the bytes of all
// unsent frames: those in the queue and those that a transport has taken. The session
// bounds it in bytes. An empty queue keeps no memory.
type queue struct {
	frames []Frame
	head   int
	// unsentBytes counts queued and taken frames with their overhead; controlBytes counts
	// those of them that were not offered.
	unsentBytes, controlBytes int
}

func (q *queue) empty() bool { return q.head == len(q.frames) }

func (q *queue) length() int { return len(q.frames) - q.head }

func (q *queue) front() Frame { return q.frames[q.head] }

func (q *queue) push(frame Frame) {
	if q.head > 0 && q.head*2 >= len(q.frames) && len(q.frames) == cap(q.frames) {
		n := copy(q.frames, q.frames[q.head:])
		clear(q.frames[n:])
		q.frames, q.head = q.frames[:n], 0
	}
	q.frames = append(q.frames, frame)
}

func (q *queue) pop() {
	q.frames[q.head] = Frame{}
	q.head++
	if q.empty() {
		q.frames, q.head = nil, 0
	}
}

// add counts a frame that is to be sent.
func (q *queue) add(frame Frame) {
	q.unsentBytes += costBytes(frame)
	q.controlBytes += controlCostBytes(frame)
}

// drop removes every frame.
func (q *queue) drop() { *q = queue{} }

// controlCostBytes returns the cost of the frames that were not offered.
func controlCostBytes(frames ...Frame) int {
	cost := 0
	for _, frame := range frames {
		if !frame.offered {
			cost += len(frame.Data) + frameOverheadBytes
		}
	}
	return cost
}

func costBytes(frames ...Frame) int {
	cost := 0
	for _, frame := range frames {
		cost += len(frame.Data) + frameOverheadBytes
	}
	return cost
}

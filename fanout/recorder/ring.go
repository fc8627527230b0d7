package recorder

import (
	"sync"
	"time"
	"unsafe"
)

// note is a Note as it is kept.
type note struct {
	at        int64
	stage     Stage
	job, id   string
	epoch     string
	detail    string // a constant
	took      int32  // microseconds
	sequence  uint64
	receivers int32
	fellBack  int32
	duplicate bool
	// forgotten is set for the slot of a note whose job was erased. It has only a time.
	forgotten bool
}

func (n *note) textBytes() int { return len(n.job) + len(n.id) + len(n.epoch) }

const (
	noteBytes = int(unsafe.Sizeof(note{}))
	// firstNotes is how many notes a ring has room for at first.
	firstNotes = 256
	// scanPiece is how many notes a scan reads before it releases the mutex. Live delivery
	// waits for one piece at most, some ten microseconds.
	scanPiece = 4096
)

// ring has the newest notes. The zero value of its mutex and below holds none.
type ring struct {
	most, mostBytes int

	mu    sync.Mutex // guards everything below
	notes []note     // the slots: the oldest note is at head
	head  int
	count int
	// first is the number of the oldest note, counted from the first one that was added.
	first uint64
	texts int // bytes
}

// bytes is what the slots and the texts of the notes take. The mutex is held.
func (r *ring) bytes() int { return len(r.notes)*noteBytes + r.texts }

// add adds a note in place of the oldest ones, if they are in its way. A note that finds no
// room in an empty ring is left out.
func (r *ring) add(next note) {
	size := next.textBytes()
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.count > 0 && (r.count >= r.most || r.bytes()+size > r.mostBytes) {
		r.drop()
	}
	if r.count == len(r.notes) && !r.grow(size) {
		if r.count == 0 {
			return
		}
		r.drop()
	}
	if r.bytes()+size > r.mostBytes {
		return
	}
	r.notes[(r.head+r.count)%len(r.notes)] = next
	r.count++
	r.texts += size
}

// grow doubles the slots, up to the bounds. The slots take at most half of the bytes, which
// leaves room for texts. The mutex is held.
func (r *ring) grow(size int) bool {
	slots := min(max(2*len(r.notes), firstNotes), r.most, r.mostBytes/2/noteBytes)
	if slots <= len(r.notes) || slots*noteBytes+r.texts+size > r.mostBytes {
		return false
	}
	longer := make([]note, slots)
	n := copy(longer, r.notes[r.head:])
	copy(longer[n:], r.notes[:r.head])
	r.notes, r.head = longer, 0
	return true
}

// drop drops the oldest note. The mutex is held.
func (r *ring) drop() {
	r.texts -= r.notes[r.head].textBytes()
	r.notes[r.head] = note{}
	r.head = (r.head + 1) % len(r.notes)
	r.count--
	r.first++
}

// scan calls each for every note, the newest first, until it returns false. It releases the
// mutex after each [scanPiece] notes; it leaves out notes that are added meanwhile, and
// those that make room for them.
func (r *ring) scan(each func(*note) bool) {
	r.mu.Lock()
	next := r.first + uint64(r.count) // the notes before it are to be read
	r.mu.Unlock()
	for r.scanPiece(&next, each) {
	}
}

// scanPiece reads one piece before next, and reports whether there may be more.
func (r *ring) scanPiece(next *uint64, each func(*note) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range scanPiece {
		if *next <= r.first {
			return false
		}
		*next--
		n := &r.notes[(r.head+int(*next-r.first))%len(r.notes)]
		if !n.forgotten && !each(n) {
			return false
		}
	}
	return true
}

// forget forgets the notes of jobs. Their slots stay until they are the oldest.
func (r *ring) forget(jobs map[string]bool) {
	r.scan(func(n *note) bool {
		if jobs[n.job] {
			r.texts -= n.textBytes()
			*n = note{at: n.at, forgotten: true}
		}
		return true
	})
}

// expire drops the notes from before a time, in pieces as scan reads them.
func (r *ring) expire(before time.Time) {
	for r.expirePiece(before.UnixNano()) {
	}
}

func (r *ring) expirePiece(before int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range scanPiece {
		if r.count == 0 || r.notes[r.head].at >= before {
			return false
		}
		r.drop()
	}
	return true
}

package measure

// Ledger is what one client was due of one job and what it got. It is for one
// goroutine at a time.
//
// The producer numbers its events from 0 on, and the log gives each a sequence.
// A number that comes twice is a repeat, whether the client was sent one event
// twice or the log stored one twice. A sequence that is not above all before it is
// out of order, unless the event is a repeat.
type Ledger struct {
	seen   []uint64 // a bit for each number
	last   uint64
	counts Counts
}

// Counts are the deliveries of one client, or of many together.
type Counts struct {
	Due        int `json:"due"`
	Received   int `json:"received"` // each event once
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"`
	Reordered  int `json:"reordered"`
	// Unknown are events that were not published: numbers out of range.
	Unknown int `json:"unknown"`
}

// NewLedger returns the ledger of a client that is due the numbers below due.
func NewLedger(due int) *Ledger {
	return &Ledger{seen: make([]uint64, (due+63)/64), counts: Counts{Due: due}}
}

// Take notes a delivery and reports whether the number is new.
func (l *Ledger) Take(number int, sequence uint64) bool {
	if number < 0 || number >= l.counts.Due {
		l.counts.Unknown++
		return false
	}
	word, bit := number/64, uint64(1)<<(number%64)
	if l.seen[word]&bit != 0 {
		l.counts.Duplicated++
		return false
	}
	l.seen[word] |= bit
	l.counts.Received++
	if sequence <= l.last {
		l.counts.Reordered++
	}
	l.last = max(l.last, sequence)
	return true
}

// Last returns the highest sequence so far: where the client resumes.
func (l *Ledger) Last() uint64 { return l.last }

// Counts returns the account so far: what has not come is lost.
func (l *Ledger) Counts() Counts {
	counts := l.counts
	counts.Lost = counts.Due - counts.Received
	return counts
}

// Plus adds two accounts.
func (c Counts) Plus(other Counts) Counts {
	return Counts{
		Due: c.Due + other.Due, Received: c.Received + other.Received, Lost: c.Lost + other.Lost,
		Duplicated: c.Duplicated + other.Duplicated, Reordered: c.Reordered + other.Reordered, Unknown: c.Unknown + other.Unknown,
	}
}

// Clean reports whether everything came once and in order.
func (c Counts) Clean() bool {
	return c.Lost == 0 && c.Duplicated == 0 && c.Reordered == 0 && c.Unknown == 0
}

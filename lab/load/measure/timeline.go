package measure

import (
	"math"
	"sync"
	"time"
)

// maxSlots bounds a timeline; at the bound two slots become one.
const maxSlots = 400

// Timeline counts what happens over time, in slots of equal length. It begins with
// short slots and doubles their length when it runs out of them, so that a burst
// and a night both make a readable plot. Its methods may be called concurrently.
type Timeline struct {
	mu    sync.Mutex // guards the fields below
	began time.Time
	slot  time.Duration
	added []float64
	level bool
}

// NewTimeline returns one that adds up what happens in a slot.
func NewTimeline(began time.Time) *Timeline {
	return &Timeline{began: began, slot: 5 * time.Millisecond}
}

// NewLevels returns one that keeps the latest value of each slot, and repeats it
// until the next.
func NewLevels(began time.Time) *Timeline {
	return &Timeline{began: began, slot: 5 * time.Millisecond, level: true}
}

// Add counts amount at a time. What lies before the beginning is left out.
func (t *Timeline) Add(at time.Time, amount float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	since := at.Sub(t.began)
	if since < 0 {
		return
	}
	for since >= t.slot*maxSlots {
		t.halve()
	}
	slot := int(since / t.slot)
	for len(t.added) <= slot {
		before := 0.0
		if t.level && len(t.added) > 0 {
			before = t.added[len(t.added)-1]
		}
		t.added = append(t.added, before)
	}
	if t.level {
		t.added[slot] = amount
		return
	}
	t.added[slot] += amount
}

// halve doubles the slots. It needs the mutex.
func (t *Timeline) halve() {
	t.slot *= 2
	half := t.added[:0]
	for i := 0; i < len(t.added); i += 2 {
		value := t.added[i]
		if i+1 < len(t.added) {
			if t.level {
				value = t.added[i+1]
			} else {
				value += t.added[i+1]
			}
		}
		half = append(half, value)
	}
	t.added = half
}

// Series is a timeline as a result keeps it.
type Series struct {
	Name   string    `json:"name"`
	SlotMs float64   `json:"slotMs"`
	Values []float64 `json:"values"`
}

// Series returns what was counted so far. That of amounts is per second.
func (t *Timeline) Series(name string) Series {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Series{Name: name, SlotMs: Ms(t.slot), Values: make([]float64, len(t.added))}
	for i, value := range t.added {
		if !t.level {
			value /= t.slot.Seconds()
		}
		s.Values[i] = math.Round(value*100) / 100
	}
	return s
}

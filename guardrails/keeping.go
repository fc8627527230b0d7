package guardrails

import (
	"container/list"
	"sync"
	"time"
)

// Keeping decides which sessions are kept until their clients reconnect,
// within a bound in bytes. Its methods may be called concurrently.
//
// The owners, which are subjects of tokens or addresses, share the bound. When it is
// reached, the owner with the most bytes loses the session whose client disconnected
// longest ago. Sessions of connected clients are never dropped. An owner that opens
// thousands of connections therefore loses its own sessions.
//
// Invariant: the bytes of all sessions are at most the bound.
type Keeping struct {
	maxBytes int

	mu       sync.Mutex // guards the fields below
	bytes    int
	sessions map[string]*keptSession
	owners   map[string]*keeper
}

// Kept is a session that is or was kept.
type Kept struct {
	// ID is the id of the session, and Name is a name given by its holder.
	ID, Name string
}

type keptSession struct {
	Kept
	owner string
	bytes int
	// since is when the client disconnected, and place is its place among the disconnected
	// sessions of the owner; nil while it is connected.
	since time.Time
	place *list.Element
}

// keeper is the state of one owner: the size of its sessions, and the sessions of
// disconnected clients, the earliest first.
type keeper struct {
	bytes    int
	sessions int
	gone     list.List
}

// KeptOverheadBytes is the size of a session in addition to its state: its entry here and
// in the store.
const KeptOverheadBytes = 512

// NewKeeping returns a Keeping without sessions; maxBytes 0 is no bound.
func NewKeeping(maxBytes int) *Keeping {
	return &Keeping{maxBytes: maxBytes, sessions: make(map[string]*keptSession), owners: make(map[string]*keeper)}
}

// Keep adds the session of a connected client, or updates its size. It returns the sessions
// that are dropped as a result, and whether this one is kept.
func (k *Keeping) Keep(id, name, owner string, size int) (evicted []Kept, keeps bool) {
	size += KeptOverheadBytes
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(k.sessions[id])
	for k.maxBytes > 0 && k.bytes+size > k.maxBytes {
		own := size
		if o := k.owners[owner]; o != nil {
			own += o.bytes
		}
		victim := k.largest(own, owner)
		if victim == nil {
			return evicted, false
		}
		evicted = append(evicted, victim.Kept)
		k.remove(victim)
	}
	k.sessions[id] = &keptSession{Kept: Kept{ID: id, Name: name}, owner: owner, bytes: size}
	o := k.owners[owner]
	if o == nil {
		o = &keeper{}
		k.owners[owner] = o
	}
	o.bytes += size
	o.sessions++
	k.bytes += size
	return evicted, true
}

// largest returns the session to drop: of the owner with the most bytes, the one whose
// client disconnected longest ago. It returns nil if the asking owner would have the most
// bytes.
func (k *Keeping) largest(own int, asks string) *keptSession {
	var most *keeper
	mostBytes := 0
	for name, o := range k.owners {
		bytes := o.bytes
		if name == asks {
			bytes = own
		}
		if o.gone.Len() > 0 && bytes >= own && bytes > mostBytes {
			most, mostBytes = o, bytes
		}
	}
	if most == nil {
		return nil
	}
	return most.gone.Front().Value.(*keptSession)
}

// Leave records that the client of a session has disconnected. Until Keep is called again,
// the session may be dropped to make room.
func (k *Keeping) Leave(id string, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.sessions[id]; s != nil && s.place == nil {
		s.since = now
		s.place = k.owners[s.owner].gone.PushBack(s)
	}
}

// Drop records that a session is no longer kept.
func (k *Keeping) Drop(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(k.sessions[id])
}

// Expire drops the sessions whose clients disconnected at or before a time.
func (k *Keeping) Expire(since time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, o := range k.owners {
		for front := o.gone.Front(); front != nil && front.Value.(*keptSession).since.Before(since); front = o.gone.Front() {
			k.remove(front.Value.(*keptSession))
		}
	}
}

// Bytes returns the size of all sessions.
func (k *Keeping) Bytes() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.bytes
}

// remove is called with mu held. It does nothing for nil.
func (k *Keeping) remove(s *keptSession) {
	if s == nil {
		return
	}
	o := k.owners[s.owner]
	if s.place != nil {
		o.gone.Remove(s.place)
	}
	delete(k.sessions, s.ID)
	k.bytes -= s.bytes
	o.bytes -= s.bytes
	if o.sessions--; o.sessions == 0 {
		delete(k.owners, s.owner)
	}
}

package recorder

import "testing"

// TestScanReleases: while a scan calls back for its second piece, it has released the mutex
// once, and notes that were added in between, which drop the oldest ones, do no harm.
func TestScanReleases(t *testing.T) {
	t.Parallel()
	const most = 3 * scanPiece
	r := &ring{most: most, mostBytes: 64 << 20}
	for n := range uint64(most) {
		r.add(note{stage: StageLogged, sequence: n + 1})
	}
	next := r.first + uint64(r.count)
	seen := 0
	each := func(n *note) bool {
		seen++
		if want := most - uint64(seen) + 1; n.sequence != want {
			t.Fatalf("note %d is %d, want %d", seen, n.sequence, want)
		}
		return true
	}
	for r.scanPiece(&next, each) {
		if !r.mu.TryLock() {
			t.Fatal("the mutex is held between two pieces")
		}
		r.mu.Unlock()
		for n := range uint64(scanPiece / 2) {
			r.add(note{stage: StageLogged, sequence: 2*most + n})
		}
	}
	if seen < scanPiece || seen > most-scanPiece/2 {
		t.Errorf("%d notes were read", seen)
	}
}

package gateway_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// TestTimesAreSearchedFor: a query by time looks at the records around its bounds, and
// not at all of a job, and finds those whose producer's clock differs a little.
func TestTimesAreSearchedFor(t *testing.T) {
	t.Parallel()
	const all = 40_000
	for _, without := range []bool{false, true} {
		s := setup(t, options{withoutDB: without})
		text := func(at time.Time) string { return url.QueryEscape(at.Format(time.RFC3339Nano)) }
		stored := func(sequence uint64) time.Time { return began.Add(time.Duration(sequence) * 100 * time.Millisecond) }
		emitted := map[uint64]time.Duration{ // against the time of storing
			29_900: 10*time.Second + 250*time.Millisecond, 10_500: -time.Minute, 30_000: -time.Hour,
		}
		for sequence := uint64(1); sequence <= all; sequence++ {
			r := record("job", 0)
			r.StoredAt = stored(sequence)
			r.EmittedAt = r.StoredAt.Add(emitted[sequence]).Format(time.RFC3339Nano)
			s.log.append(r)
		}
		for _, test := range []struct {
			query string
			want  []uint64
		}{
			{"limit=1&since=" + text(began.Add(24*time.Hour)), nil},
			{"limit=1&since=" + text(stored(all)), nil},
			{"limit=9&since=" + text(stored(all-2)), []uint64{all, all - 1}},
			{"limit=1&before=" + text(stored(1)), nil},
			{"limit=3&before=" + text(stored(4)), []uint64{3, 2, 1}},
			{"limit=3&before=" + text(stored(15_000)), back(14_999, 14_997)},
			{"since=" + text(stored(14_999)) + "&before=" + text(stored(15_003)), back(15_002, 15_000)},
			// A clock that is ahead, and one that is a minute behind.
			{"since=" + text(stored(30_001)) + "&before=" + text(stored(30_004)), []uint64{30_003, 30_002, 29_900}},
			{"limit=2&before=" + text(stored(10_100)), []uint64{10_500, 10_099}},
			// The record between them is an hour behind.
			{"since=" + text(stored(29_999)) + "&before=" + text(stored(30_002)), []uint64{30_001}},
		} {
			s.log.set(func(l *memoryLog) { l.reads, l.asked = 0, 0 })
			sameSequences(t, s.events("job", test.query).sequences(), test.want)
			s.log.set(func(l *memoryLog) {
				if l.reads+l.asked > 40 {
					t.Errorf("without=%t %s: %d reads of the log, %d of MongoDB", without, test.query, l.reads, l.asked)
				}
			})
		}
	}
}

// TestTimesAreSearchedInTheProjection: also of a job that the log has nothing of.
func TestTimesAreSearchedInTheProjection(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.publish("job", 3000)
	s.log.publish("other", 1)
	s.log.set(func(l *memoryLog) { l.retain(3001) })
	got := s.events("job", "limit=2&before="+url.QueryEscape(messaging.FormatTime(began.Add(100*time.Second)))).sequences()
	sameSequences(t, got, []uint64{99, 98})
}

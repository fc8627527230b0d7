package replay

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Pace is how fast a replay goes. The zero value is flat out.
type Pace struct {
	// Speed is the factor of the pace at which the log took the records: 1 is that
	// pace, 10 ten times as fast.
	Speed float64
	// Rate is in events a second; not beside Speed.
	Rate float64
	// LongestPause bounds the pause before one event at a Speed; 0 means as long as
	// it was.
	LongestPause time.Duration
}

// Validate says what cannot be.
func (p Pace) Validate() error {
	for name, value := range map[string]float64{"speed": p.Speed, "rate": p.Rate} {
		if value < 0 || math.IsNaN(value) || math.IsInf(value, 0) {
			return fmt.Errorf("the %s is %v: want more than 0", name, value)
		}
	}
	switch {
	case p.Speed > 0 && p.Rate > 0:
		return errors.New("a speed and a rate exclude each other")
	case p.LongestPause < 0:
		return fmt.Errorf("the longest pause is %s: want 0 or more", p.LongestPause)
	case p.LongestPause > 0 && p.Speed == 0:
		return errors.New("a longest pause needs a speed")
	}
	return nil
}

// schedule says when each record of a replay is due. It is for records in the
// order of the log.
type schedule struct {
	pace Pace
	// due is when the last one was, since the beginning; at is when the log took it.
	due   time.Duration
	at    time.Time
	begun bool
}

// next returns when a record is due, since the beginning.
func (s *schedule) next(record messaging.Record) time.Duration {
	switch {
	case !s.begun: // the first is due at once
	case s.pace.Rate > 0:
		s.due += time.Duration(float64(time.Second) / s.pace.Rate)
	case s.pace.Speed > 0:
		// Between two leaders of the stream the clock may go back.
		pause := time.Duration(float64(max(record.StoredAt.Sub(s.at), 0)) / s.pace.Speed)
		if s.pace.LongestPause > 0 {
			pause = min(pause, s.pace.LongestPause)
		}
		s.due += pause
	}
	s.begun, s.at = true, record.StoredAt
	return s.due
}

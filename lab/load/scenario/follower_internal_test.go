package scenario

import "testing"

// A follower resumes from a whole position, because a sequence alone is taken for one
// of the present life of the log, whatever that is.
func TestAFollowerResumesFromAPosition(t *testing.T) {
	t.Parallel()
	f := &follower{epoch: "e"}
	if got := f.position(7); got != "e:7" {
		t.Errorf("resumes from %v", got)
	}
	f.epoch = "" // of a gateway that names none
	if got := f.position(7); got != uint64(7) {
		t.Errorf("without an epoch, resumes from %v", got)
	}
}

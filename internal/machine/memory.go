package machine

import (
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// LimitMemory sets the memory limit of the Go runtime to 9/10 of that of the process's
// control group, so that it collects garbage more often near the limit in place of
// being killed there. GOMEMLIMIT counts before, and AUTOMEMLIMIT=off leaves it without.
// It returns the limit, in bytes, if there is one.
func LimitMemory() (bytes int64, limited bool, err error) {
	bytes, err = memlimit.Set()
	return bytes, bytes < math.MaxInt64, err
}

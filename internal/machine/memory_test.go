package machine_test

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/letswriteabook/realtime/internal/machine"
)

// TestLimitMemoryKeepsTheUsersOwn: GOMEMLIMIT, which the runtime has read, counts before
// the limit of the control group.
func TestLimitMemoryKeepsTheUsersOwn(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "3GiB")
	before := debug.SetMemoryLimit(3 << 30) // as the runtime does at its start
	defer debug.SetMemoryLimit(before)
	bytes, limited, err := machine.LimitMemory()
	if err != nil || !limited || bytes != 3<<30 || debug.SetMemoryLimit(-1) != 3<<30 {
		t.Errorf("%d, %t, %v; want 3 GiB", bytes, limited, err)
	}
}

// TestLimitMemoryCanBeOff: the runtime is left as it is.
func TestLimitMemoryCanBeOff(t *testing.T) {
	t.Setenv("AUTOMEMLIMIT", "off")
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	if bytes, limited, err := machine.LimitMemory(); err != nil || limited || bytes != math.MaxInt64 {
		t.Errorf("%d, %t, %v; want no limit", bytes, limited, err)
	}
}

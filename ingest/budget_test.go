package ingest_test

import "testing"

// ingestBudget is how many allocations an event of 200 bytes with an id may cost, with
// those of its publishing in this process. 37 were measured; the rest is for batches that
// are smaller because the machine is busy.
const ingestBudget = 60

// TestAllocationBudgetOfIngest is not parallel: it counts what the whole process allocates.
func TestAllocationBudgetOfIngest(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates, too")
	}
	const batch = 1000
	publish, stop := ingestTo(t, batch, 200, "id")
	defer stop()
	each := testing.AllocsPerRun(10, publish) / batch
	t.Logf("%.1f allocations an event", each)
	if each > ingestBudget {
		t.Errorf("%.1f allocations an event, the budget is %d", each, ingestBudget)
	}
}

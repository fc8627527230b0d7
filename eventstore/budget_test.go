package eventstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

// appendBudget is how many allocations a record of a batch may cost, in the client and in
// the server, which is in this process. 47 were measured; the rest is for what the server does
// in the background.
const appendBudget = 60

// TestAllocationBudgetOfAppend is not parallel: it counts what the whole process allocates.
func TestAllocationBudgetOfAppend(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates, too")
	}
	server := startServer(t, natsserver.Config{SyncInterval: 10 * time.Second})
	conn, err := server.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	log := open(t, conn).log
	const count = 200
	number := 0
	each := testing.AllocsPerRun(20, func() {
		records := make([]messaging.Record, count)
		for i := range records {
			number++
			records[i] = withID(fmt.Sprint("job-", i%10), fmt.Sprint("id-", number), "x")
		}
		if _, err := log.AppendBatch(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}) / count
	t.Logf("%.1f allocations a record", each)
	if each > appendBudget {
		t.Errorf("%.1f allocations a record, the budget is %d", each, appendBudget)
	}
}

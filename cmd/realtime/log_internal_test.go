package main

import (
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/operations/inspect"
)

func TestTableOfStages(t *testing.T) {
	t.Parallel()
	stage := func(name recorder.Stage, receivers, fellBack int, duplicate bool) inspect.Stage {
		s := inspect.Stage{Gateway: "g-1", Note: recorder.Note{Stage: name}}
		s.At, s.Receivers, s.FellBack, s.Duplicate = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), receivers, fellBack, duplicate
		return s
	}
	for name, test := range map[string]struct {
		stored inspect.Stored
		want   string
	}{
		"nothing": {
			inspect.Stored{Followers: 3, Gateways: 2},
			"recorded\tno gateway has recorded it\n" +
				"delivered\tnot recorded; at this moment 3 subscriptions at 2 gateways follow the job\n",
		},
		"not delivered": {
			inspect.Stored{Stages: []inspect.Stage{stage(recorder.StageLogged, 0, 0, true)}, Unasked: 1},
			"logged\t2026-01-02T03:04:05Z at g-1; the log had it already\n" +
				"incomplete\t1 gateways have not answered completely, and may have recorded more\n" +
				"delivered\tnot recorded; at this moment 0 subscriptions at 0 gateways follow the job\n",
		},
		"delivered": {
			inspect.Stored{Stages: []inspect.Stage{stage(recorder.StageDelivered, 5, 1, false), stage(recorder.StageDelivered, 2, 0, false)}, Followers: 7, Gateways: 2},
			"delivered\t2026-01-02T03:04:05Z at g-1, to 5 clients; 1 more read it later, because their queues were full\n" +
				"delivered\t2026-01-02T03:04:05Z at g-1, to 2 clients\n" +
				"followed\tat this moment 7 subscriptions at 2 gateways follow the job\n",
		},
	} {
		var shown strings.Builder
		tableOfStages(&shown, test.stored)
		if shown.String() != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, shown.String(), test.want)
		}
	}
}

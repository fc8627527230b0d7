package faults

import (
	"testing"
	"time"
)

func TestLimitsOfRows(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		row           Row
		full          bool
		trial, settle time.Duration
	}{
		"usual":       {trial: rowTimeout, settle: settleTimeout},
		"full":        {full: true, trial: fullRowTimeout, settle: settleTimeout},
		"long trial":  {row: Row{Timeout: time.Hour}, trial: time.Hour, settle: settleTimeout},
		"long settle": {row: Row{SettleTimeout: time.Hour}, full: true, trial: fullRowTimeout, settle: time.Hour},
		"both":        {row: Row{Timeout: time.Hour, SettleTimeout: time.Minute}, trial: time.Hour, settle: time.Minute},
	} {
		if trial, settle := test.row.limits(test.full); trial != test.trial || settle != test.settle {
			t.Errorf("%s: %s and %s, want %s and %s", name, trial, settle, test.trial, test.settle)
		}
	}
}

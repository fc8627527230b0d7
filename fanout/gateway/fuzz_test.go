package gateway_test

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/messaging"
)

// FuzzSequence: what is taken for a position is written as digits and nothing
// else, whether in quotes or not, or in quotes as an epoch and digits, and its value is
// theirs.
func FuzzSequence(f *testing.F) {
	for _, seed := range []string{
		`0`, `17`, `"17"`, `-1`, `1e3`, `1.0`, `""`, `"`, `null`, `{}`, `18446744073709551615`, `18446744073709551616`, `"0x1f"`, `"1"`,
		`"epoch:17"`, `":17"`, `"a:b:17"`, `"epoch:"`, `epoch:17`, `"epoch:-1"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, ok := gateway.ParseSince(raw)
		if !ok {
			return
		}
		text := string(raw)
		if strings.HasPrefix(text, `"`) {
			if err := json.Unmarshal(raw, &text); err != nil {
				t.Fatalf("%q is taken for %s: %v", raw, got, err)
			}
		}
		text, epoch := strings.TrimPrefix(text, got.Epoch+":"), got.Epoch
		if strings.Trim(text, "0123456789") != "" || strings.TrimLeft(text, "0") != strings.TrimLeft(strconv.FormatUint(got.Sequence, 10), "0") {
			t.Fatalf("%q is taken for %s", raw, got)
		}
		if len(epoch) > 128 || strings.Contains(epoch, ":") {
			t.Fatalf("%q is taken for the epoch %q", raw, epoch)
		}
	})
}

// FuzzEventsQuery: whatever a query says, its limit is in bounds, and an error
// is short enough to be sent back.
func FuzzEventsQuery(f *testing.F) {
	for _, seed := range []string{
		"", "limit=10", "limit=-1", "limit=99999999999999999999", "before=7&limit=2", "since=2026-01-02T03:04:05Z",
		"since=3&before=4", "since=%00", "before=+1", "limit=1&limit=2000", "since=2026-01-02T03:04:05.123456789%2B14:00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		limit, err := gateway.CheckQuery(values)
		if err == nil && (limit < 1 || limit > 1000) {
			t.Fatalf("%q: limit %d", raw, limit)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Fatalf("%q: an error of %d bytes", raw, len(err.Error()))
		}
	})
}

// FuzzSubscribe: a subscribe request leads to a jobId that may be one and to a position
// within its bounds, or to a problem that is short enough to be sent back.
func FuzzSubscribe(f *testing.F) {
	for _, seed := range []string{
		`{"jobId":"a"}`, `{"jobId":" a ","since":3}`, `{"jobId":"a","since":"e:3"}`, `{"jobId":"a","since":"3","epoch":"e"}`, `{"jobId":1}`, `{}`, `[]`, `"a"`, `null`,
		`{"jobId":"\u0000"}`, `{"jobId":"a","since":-1}`, `{"jobId":"a","since":null}`, `{"jobId":"a","jobId":"b"}`, `{"jobId":"a","since":1,"epoch":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		jobID, position, problem := gateway.ParseSubscribe(raw)
		if problem != nil {
			text, err := json.Marshal(problem)
			if err != nil || len(text) > 4096 || problem.Code == "" {
				t.Fatalf("%q: problem %s, %v", raw, text, err)
			}
			return
		}
		if err := messaging.ValidateJobID(jobID); err != nil {
			t.Fatalf("%q: jobId %q: %v", raw, jobID, err)
		}
		if len(position.Epoch) > messaging.MaxEpochBytes {
			t.Fatalf("%q: an epoch of %d bytes", raw, len(position.Epoch))
		}
	})
}

// FuzzAuth: whatever stands in the auth of a CONNECT, no session is recovered that is not
// there, and none is claimed afterwards.
func FuzzAuth(f *testing.F) {
	for _, seed := range []string{
		`{"pid":"0123456789012345678901","offset":"0:0"}`, `{"pid":"AAAAAAAAAAAAAAAAAAAAAA"}`, `{"pid":1}`, `{"token":"x","recovery":true}`, `{"recovery":"yes"}`, ``, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, auth []byte) {
		if claimed, recovers := gateway.Recover(newMemorySessions(), auth); claimed || recovers {
			t.Fatalf("%q: claimed %t, recovered %t", auth, claimed, recovers)
		}
	})
}

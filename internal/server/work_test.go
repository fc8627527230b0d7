package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore/lease"
)

// piece is what the tests read of long work.
type piece struct {
	ID, Kind, Target, State, By, Subject, From, Step, Error string
	Cancelling                                              bool
	Result                                                  json.RawMessage
}

// begin starts long work.
func (o *operating) begin(path, body string) piece {
	o.t.Helper()
	status, answer := o.ask(http.MethodPost, api+path, needToken, body, nil)
	var begun piece
	if err := json.Unmarshal([]byte(answer), &begun); err != nil || status != http.StatusAccepted || begun.State != "running" {
		o.t.Fatalf("%s %s: %d %s (%v)", path, body, status, answer, err)
	}
	return begun
}

// ends waits until long work, begun at whichever gateway, has ended.
func (o *operating) ends(begun piece, state string) (ended piece) {
	o.t.Helper()
	o.until(begun.Kind+" has ended", func() error {
		o.read("/work/one?id="+begun.ID, &ended)
		if ended.State == "running" {
			return fmt.Errorf("it is at the step %q", ended.Step)
		}
		return nil
	})
	if ended.State != state {
		o.t.Errorf("%s of %s: %s, %s %s, want %s", ended.Kind, ended.Target, ended.State, ended.Error, ended.Result, state)
	}
	return ended
}

// TestLongWork: what takes longer than a request is started at one gateway, and followed and
// cancelled at another. What came of it outlives the gateway that did it, and is in the audit
// trail with who asked.
func TestLongWork(t *testing.T) {
	t.Parallel()
	mongo := mongoOf(t)
	first, _ := runGateway(t, map[string]string{"NATS_LISTEN": "127.0.0.1:0", "MONGODB_URI": mongo})
	second, stopSecond := runGateway(t, map[string]string{"NATS_URL": first.gateway.NATSURL(), "MONGODB_URI": mongo})
	for _, job := range []string{"kept", "erased"} {
		for n := range 3 {
			first.publish(fmt.Sprintf(`{"kind":"domain","jobId":%q,"id":"%d","event":{"type":"t","occurredAt":"2026-01-01T00:00:00Z"}}`, job, n))
		}
	}
	first.until("MongoDB has the events", func() error {
		var list struct {
			Items []struct {
				Lag      int
				NeverRan bool
			}
		}
		first.read("/projections", &list)
		for _, projection := range list.Items {
			if projection.Lag > 0 || projection.NeverRan {
				return fmt.Errorf("%+v", list)
			}
		}
		return nil
	})

	compared := first.ends(second.begin("/projections/verify", `{"projection":"history"}`), "done")
	if !strings.Contains(string(compared.Result), `"equal":true`) || compared.By != "operate" || compared.From != "127.0.0.1" {
		t.Errorf("a comparison: %+v %s", compared, compared.Result)
	}
	rebuilt := first.ends(second.begin("/projections/rebuild", `{"projection":"history","swap":true,"dropOld":true}`), "done")
	if !strings.Contains(string(rebuilt.Result), `"old":`) {
		t.Errorf("a rebuild: %s", rebuilt.Result)
	}
	nothing := first.ends(second.begin("/projections/swap", `{"projection":"history"}`), "failed")
	if !strings.Contains(nothing.Error, "no rebuild") && !strings.Contains(nothing.Error, "shadow") {
		t.Errorf("a swap without a rebuild: %s", nothing.Error)
	}
	planned := first.ends(second.begin("/erasures", `{"jobId":"erased","reason":"a request","dryRun":true}`), "done")
	if !strings.Contains(string(planned.Result), `"events":3`) {
		t.Errorf("an erasure that changes nothing: %s", planned.Result)
	}
	first.ends(second.begin("/erasures", `{"jobId":"erased","reason":"a request"}`), "done")
	if status, answer := first.ask(http.MethodGet, api+"/job?jobId=erased", readToken, "", nil); status != http.StatusOK || !strings.Contains(answer, `"newest":null`) {
		t.Errorf("an erased job: %d %s", status, answer)
	}

	// A replay that would last for hours is cancelled at the other gateway.
	slow := `{"into":"job:kept","rate":0.0003}`
	cancelled := second.begin("/replays", slow)
	var asked piece
	first.operate("/work/cancel", fmt.Sprintf(`{"id":%q}`, cancelled.ID), &asked)
	if !asked.Cancelling {
		t.Errorf("asked to end: %+v", asked)
	}
	first.ends(cancelled, "cancelled")
	if status, answer := first.ask(http.MethodPost, api+"/work/cancel", needToken, fmt.Sprintf(`{"id":%q}`, cancelled.ID), nil); status != http.StatusConflict || !strings.Contains(answer, "cancelled") {
		t.Errorf("cancelled twice: %d %s", status, answer)
	}
	// A stop interrupts one.
	interrupted := second.begin("/replays", slow)
	stopSecond()
	first.ends(interrupted, "interrupted")

	var trail struct {
		Items []struct {
			Note struct {
				ID, Stage, Action, Role string
				Target                  struct{ Kind, Target string }
			}
		}
	}
	first.read("/audit?limit=500", &trail)
	ended := make(map[string]string)
	for _, item := range trail.Items {
		if note := item.Note; note.Action == "/work" {
			ended[note.ID] = note.Stage + " " + note.Target.Kind + " " + note.Target.Target + " " + note.Role
		}
	}
	for _, want := range []piece{compared, rebuilt, nothing, cancelled, interrupted} {
		if !strings.HasSuffix(ended[want.ID], want.Kind+" "+want.Target+" operate") {
			t.Errorf("the audit trail has %q of the %s", ended[want.ID], want.Kind)
		}
	}
	if got := ended[interrupted.ID]; !strings.HasPrefix(got, "interrupted ") {
		t.Errorf("the audit trail has %q of interrupted work", got)
	}
}

// TestLongWorkIsRefused: a request that names what does not exist starts nothing, and the
// answer says what is allowed.
func TestLongWorkIsRefused(t *testing.T) {
	t.Parallel()
	o := startOperating(t, nil)
	for request, says := range map[string]string{
		`/projections/verify {"projection":"histroy"}`:                  "want one of history, job-heads",
		`/projections/rebuild {"projection":"history","dropOld":true}`:  "dropOld is for a rebuild with swap",
		`/projections/swap {"projection":"history","restart":true}`:     "unknown field",
		`/erasures {"jobId":"b"}`:                                       "reason is missing",
		`/erasures {"jobId":"","reason":"x"}`:                           "jobId",
		`/replays {"into":"stdout"}`:                                    "into is stdout",
		`/replays {"into":"nats:novel.events.x"}`:                       "into is",
		`/replays {"into":"log","from":"yesterday"}`:                    "from is",
		`/replays {"into":"log","speed":1,"longestPauseSeconds":1e300}`: "longestPauseSeconds is",
		`/replays {"into":"log","rate":-1}`:                             "rate",
		`/work/cancel {"id":"none"}`:                                    "no such work",
	} {
		path, body, _ := strings.Cut(request, " ")
		status, answer := o.ask(http.MethodPost, api+path, needToken, body, nil)
		if want := []int{http.StatusBadRequest, http.StatusNotFound}; !slices.Contains(want, status) || !strings.Contains(answer, says) {
			t.Errorf("%s: %d %s, want %q", request, status, answer, says)
		}
	}
	large := fmt.Sprintf(`{"into":"log","jobs":[%q]}`, strings.Repeat(`b","`, 2000)+"b")
	if status, answer := o.ask(http.MethodPost, api+"/replays", needToken, strings.ReplaceAll(large, `\"`, `"`), nil); status != http.StatusBadRequest || !strings.Contains(answer, "4096 bytes") {
		t.Errorf("a large request: %d %s", status, answer)
	}
	var list struct{ Items []piece }
	o.read("/work", &list)
	if len(list.Items) > 0 {
		t.Errorf("refused requests have started %+v", list.Items)
	}
	// Without MongoDB the work begins, and says why it fails.
	if failed := o.ends(o.begin("/projections/verify", `{"projection":"history"}`), "failed"); !strings.Contains(failed.Error, "MONGODB_URI is not set") {
		t.Errorf("without MongoDB: %s", failed.Error)
	}
}

// TestHeldTargetRefusesWork: work whose target another operation holds is refused at the
// request, with who holds it, and starts nothing.
func TestHeldTargetRefusesWork(t *testing.T) {
	t.Parallel()
	o, _ := runGateway(t, map[string]string{"NATS_LISTEN": "127.0.0.1:0"})
	o.publish(`{"kind":"job-status","jobId":"b","status":"running","id":"1"}`)
	conn, err := nats.Connect(o.gateway.NATSURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	list, err := lease.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	for target, requests := range map[string][]string{
		"projection/history":  {`/projections/rebuild {"projection":"history"}`, `/projections/swap {"projection":"history"}`},
		"job/b":               {`/erasures {"jobId":"b","reason":"x"}`},
		"replay into the log": {`/replays {"into":"log"}`},
		lease.WholeLog:        {`/erasures {"jobId":"b","reason":"x"}`, `/replays {"into":"log"}`},
	} {
		ctx, held, err := list.Begin(t.Context(), lease.Operation{Target: target, Kind: "test", By: "somebody", Resume: "the command"})
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range requests {
			path, body, _ := strings.Cut(request, " ")
			status, answer := o.ask(http.MethodPost, api+path, needToken, body, nil)
			if status != http.StatusConflict || !strings.Contains(answer, "test of "+target+", by somebody") || !strings.Contains(answer, `"held"`) {
				t.Errorf("%s while %s is held: %d %s", request, target, status, answer)
			}
		}
		if err := held.End(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	var all struct{ Items []piece }
	o.read("/work", &all)
	if len(all.Items) > 0 {
		t.Errorf("refused requests have started %+v", all.Items)
	}
	o.ends(o.begin("/erasures", `{"jobId":"b","reason":"x"}`), "done")
}

// TestReplayOfNothing: a replay that no event matches has failed, as the command says, and
// leaves no operation to be resumed.
func TestReplayOfNothing(t *testing.T) {
	t.Parallel()
	o, _ := runGateway(t, nil)
	o.publish(`{"kind":"job-status","jobId":"b","status":"running","id":"1"}`)
	for _, into := range []string{"log", "job:b", "nats:elsewhere"} {
		for _, dryRun := range []bool{false, true} {
			ended := o.ends(o.begin("/replays", fmt.Sprintf(`{"into":%q,"jobs":["none"],"dryRun":%v}`, into, dryRun)), "failed")
			if !strings.Contains(ended.Error, "nothing matches") || !strings.Contains(string(ended.Result), `"events":0`) {
				t.Errorf("into %s: %s %s", into, ended.Error, ended.Result)
			}
		}
	}
	var waiting struct{ Items []any }
	o.read("/operations", &waiting)
	if len(waiting.Items) > 0 {
		t.Errorf("operations are left: %v", waiting.Items)
	}
}

package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// socketRow is what the tests read of a socket in an answer.
type socketRow struct {
	ID, Gateway, Transport, Subject, Origin, Address string
	Subscriptions, QueuedBytes                       int
	ConnectedAt                                      time.Time
	// Of a follower.
	State        string
	Cursor, Head uint64
	Behind       *int
	Since        time.Time
}

type socketPage struct {
	Items    []socketRow
	Next     string
	Gateways []string
	Missing  []struct{ Gateway, Reason, Error string }
}

// sidOf returns the id in the answer to a CONNECT, or in the open packet of the transport.
func sidOf(t *testing.T, answer string) string {
	t.Helper()
	var named struct{ SID string }
	if err := json.Unmarshal([]byte(answer[strings.IndexByte(answer, '{'):]), &named); err != nil || named.SID == "" {
		t.Fatalf("no sid in %s: %v", answer, err)
	}
	return named.SID
}

// TestSocketsOfAllGateways: the sockets and streams at two gateways are listed in pages by
// each filter, one is described, followers say where they stand, and closing one, those of
// a subject, and those of a job closes these at both gateways and no other.
func TestSocketsOfAllGateways(t *testing.T) {
	t.Parallel()
	first, _ := runGateway(t, map[string]string{"NATS_LISTEN": "127.0.0.1:0"})
	second, stopSecond := runGateway(t, map[string]string{"NATS_URL": first.gateway.NATSURL()})
	issued := time.Now().Add(-time.Minute)
	type opened struct {
		*wire
		id string
	}
	sockets := make(map[string][]opened) // by subject
	var secrets []string
	for n := range 12 {
		subject := fmt.Sprintf("subject-%d", n%3)
		token := issue(t, subject, fmt.Sprint(n), "", issued)
		gateway := []*operating{first, second}[n/3%2]
		socket, answer := open(t, gateway.url, token)
		socket.send(fmt.Sprintf(`420["subscribe",{"jobId":"job-%d"}]`, n%2))
		socket.await(`42["novel.caught-up"`)
		sockets[subject] = append(sockets[subject], opened{socket, sidOf(t, answer)})
		secrets = append(secrets, token, sidOf(t, socket.opened))
	}
	streamToken := issue(t, "subject-0", "stream", "", issued)
	streamEnded := second.stream(streamToken) // of the job named job
	secrets = append(secrets, streamToken)

	list := func(query string) (page socketPage) {
		t.Helper()
		second.until("all gateways answer", func() error {
			page = socketPage{}
			second.read("/sockets?"+query, &page)
			if len(page.Gateways) != 2 || len(page.Missing) > 0 {
				return fmt.Errorf("%+v", page)
			}
			return nil
		})
		return page
	}
	var ids []string
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		page := list("limit=4&after=" + url.QueryEscape(after))
		for _, row := range page.Items {
			ids = append(ids, row.ID)
			if row.Address != "127.0.0.1" || row.Origin != "" || row.Subscriptions != 1 || row.ConnectedAt.IsZero() || !slices.Contains(page.Gateways, row.Gateway) {
				t.Errorf("socket %+v", row)
			}
		}
		if after = page.Next; len(page.Items) > 4 {
			t.Errorf("a page of %d", len(page.Items))
		}
	}
	if len(ids) != 13 || !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != 13 {
		t.Errorf("pages have %d sockets: %q", len(ids), ids)
	}
	for query, want := range map[string]int{
		"subject=subject-1": 4, "jobId=job-1": 6, "jobId=job-1&subject=subject-1": 2, "origin=unknown": 13, "origin=http://a": 0,
		"address=127.0.0.1": 13, "address=127.0.0.0/8": 13, "address=10.0.0.0/8": 0, "address=::1": 0, "jobId=job": 1,
	} {
		if page := list(query); len(page.Items) != want {
			t.Errorf("%s: %d sockets, want %d", query, len(page.Items), want)
		}
	}

	one := sockets["subject-1"][0]
	one.send(`421["subscribe",{"jobId":""}]`)
	one.await("431")
	first.publish(`{"kind":"job-status","jobId":"job-1","status":"running","id":"live"}`)
	one.await(`42["novel.job-status"`)
	var stories struct {
		Items []struct {
			socketRow
			QueuedEvents int
			Follows      []socketRow
			Steps        []struct {
				Kind, JobID, Detail string
				First, Last         uint64
				Count               int
			}
		}
		Gateways []string
	}
	second.until("the story has the event", func() error {
		second.read("/socket?id="+url.QueryEscape(one.id), &stories)
		if len(stories.Items) != 1 || len(stories.Items[0].Follows) != 1 {
			return fmt.Errorf("%+v", stories)
		}
		var kinds []string
		for _, step := range stories.Items[0].Steps {
			kinds = append(kinds, step.Kind+" "+step.JobID+" "+step.Detail)
		}
		want := []string{"novel.subscribed job-1 ", "novel.caught-up job-1 none", "novel.error  JOB_ID_REQUIRED", "sent job-1 "}
		if follow := stories.Items[0].Follows[0]; !slices.Equal(kinds, want) || follow.State != "live" || follow.Cursor == 0 || follow.Cursor != follow.Head || follow.Behind == nil {
			return fmt.Errorf("steps %q, %+v", kinds, follow)
		}
		return nil
	})

	var stages struct {
		Items []struct {
			Gateway, Stage      string
			Sequence            uint64
			Receivers, FellBack int
		}
	}
	first.until("both gateways have recorded the delivery", func() error {
		first.read("/job/stages?jobId=job-1", &stages)
		receivers := make(map[string]int)
		for _, item := range stages.Items {
			if item.Stage == "delivered" && item.FellBack == 0 {
				receivers[item.Gateway] += item.Receivers
			}
		}
		if total := slices.Sorted(maps.Values(receivers)); len(stages.Items) != 5 || !slices.Equal(total, []int{2, 4}) && !slices.Equal(total, []int{3, 3}) {
			return fmt.Errorf("%+v", stages.Items)
		}
		return nil
	})

	var followers socketPage
	first.until("the followers are there", func() error {
		followers = socketPage{}
		if first.read("/job/followers?jobId=job-1", &followers); len(followers.Items) != 6 {
			return fmt.Errorf("followers %+v", followers)
		}
		return nil
	})
	for _, row := range followers.Items {
		if row.State != "live" || row.Since.IsZero() || row.Behind == nil || *row.Behind != 0 {
			t.Errorf("follower %+v", row)
		}
	}

	// Nothing that lets its reader be another client is in an answer.
	for _, path := range []string{"/sockets", "/socket?id=" + url.QueryEscape(one.id), "/job/followers?jobId=job-1"} {
		_, answer := first.ask(http.MethodGet, api+path, readToken, "", nil)
		for _, secret := range secrets {
			if strings.Contains(answer, secret) {
				t.Errorf("%s has a secret: %s", path, answer)
			}
		}
	}

	closing := func(gateway *operating, body string, want int) {
		t.Helper()
		var closed struct {
			Clients  int
			Gateways []string
			Missing  []any
		}
		gateway.operate("/sockets/close", body, &closed)
		// A gateway that is busy may have closed its sockets without having answered in time.
		if len(closed.Missing) == 0 && (closed.Clients != want || len(closed.Gateways) != 2) {
			t.Errorf("%s: %+v, want %d", body, closed, want)
		}
	}
	closing(second, fmt.Sprintf(`{"id":%q,"reason":"runaway"}`, one.id), 1)
	one.ended()
	closing(first, `{"subject":"subject-0"}`, 5)
	<-streamEnded
	for _, socket := range sockets["subject-0"] {
		socket.ended()
	}
	closing(second, `{"jobId":"job-0"}`, 4)
	var left socketPage
	first.until("the others are left", func() error {
		if left = list(""); len(left.Items) != 3 {
			return fmt.Errorf("%+v", left)
		}
		return nil
	})
	for _, row := range left.Items {
		if row.Subject == "subject-0" || row.ID == one.id {
			t.Errorf("a closed socket is listed: %+v", row)
		}
	}
	var gone struct {
		Items []struct {
			EndedAt time.Time
			Reason  string
			Subject string
		}
	}
	first.until("the closed socket is recorded", func() error {
		first.read("/socket?id="+url.QueryEscape(one.id), &gone)
		if len(gone.Items) != 1 || gone.Items[0].EndedAt.IsZero() || gone.Items[0].Reason != "closed by an operator" || gone.Items[0].Subject != "subject-1" {
			return fmt.Errorf("%+v", gone)
		}
		return nil
	})
	since, until := issued.UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	between := "since=" + since + "&until=" + until
	first.until("all closed clients are listed, the first to go first", func() error {
		seen := make(map[string]bool)
		var last time.Time
		for after, pages := "", 0; pages == 0 || after != ""; pages++ {
			var page struct {
				Items []struct {
					socketRow
					EndedAt time.Time
					Reason  string
				}
				Next     string
				Gateways []string
				Missing  []any
			}
			first.read("/sockets/ended?limit=4&"+between+"&after="+url.QueryEscape(after), &page)
			for _, row := range page.Items {
				if row.Reason != "closed by an operator" || row.EndedAt.Before(last) || row.Address != "127.0.0.1" || seen[row.ID] {
					t.Fatalf("%+v after %s", row, last)
				}
				seen[row.ID], last = true, row.EndedAt
			}
			if after = page.Next; len(page.Items) > 4 || len(page.Missing) > 0 || len(page.Gateways) != 2 {
				return fmt.Errorf("%+v", page)
			}
		}
		if len(seen) != 10 {
			return fmt.Errorf("%d clients", len(seen))
		}
		return nil
	})
	for query, want := range map[string]int{
		between + "&subject=subject-0": 5, between + "&subject=subject-0&address=::1": 0, between + "&origin=unknown": 10, between + "&origin=http://a": 0,
		"since=" + until + "&until=2999-01-01T00:00:00Z": 0, "since=2001-01-01T00:00:00Z&until=" + since: 0,
	} {
		var page socketPage
		if first.read("/sockets/ended?"+query, &page); len(page.Missing) == 0 && len(page.Items) != want {
			t.Errorf("%s: %d clients, want %d", query, len(page.Items), want)
		}
	}
	for _, body := range []string{`{}`, `{"id":"a","subject":"b"}`, `{"jobId":"` + strings.Repeat("x", 300) + `"}`, `{"subject":"` + strings.Repeat("x", 2000) + `"}`} {
		if status, answer := first.ask(http.MethodPost, api+"/sockets/close", needToken, body, nil); status != http.StatusBadRequest {
			t.Errorf("%.40s: %d %s", body, status, answer)
		}
	}
	for _, query := range []string{
		"/sockets/ended", "/sockets/ended?since=" + since, "/sockets/ended?since=yesterday&until=" + until, "/sockets/ended?since=" + until + "&until=" + since,
		"/sockets?address=here", "/sockets?limit=501", "/socket", "/socket?id=" + strings.Repeat("x", 257), "/sockets?jobId=" + strings.Repeat("x", 300),
	} {
		if status, answer := first.ask(http.MethodGet, api+query, needToken, "", nil); status != http.StatusBadRequest {
			t.Errorf("%.40s: %d %s", query, status, answer)
		}
	}
	stopSecond()
	first.until("one gateway is left", func() error {
		var page socketPage
		if first.read("/sockets", &page); len(page.Gateways) != 1 || len(page.Missing) > 0 {
			return fmt.Errorf("%+v", page)
		}
		return nil
	})
}

// ended reads until the connection has ended.
func (w *wire) ended() {
	w.t.Helper()
	for {
		if _, _, err := w.conn.ReadMessage(); err != nil {
			return
		}
	}
}

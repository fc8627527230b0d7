package client_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/client"
	"github.com/letswriteabook/realtime/internal/redisdial"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

func check() client.Check {
	return client.Check{Catalogue: messaging.DefaultCatalogue(), MaxEventBytes: 1000}
}

// status is a valid envelope with further fields.
func status(fields string) string {
	return `{"kind":"job-status","jobId":"job","status":"running"` + fields + `}`
}

func TestCheckLines(t *testing.T) {
	t.Parallel()
	input := strings.Join([]string{
		status(""), status(`,"id":"a"`), status(`,"id":7`), "", status(`,"id":"a"`), status(`,"id":"a","more":1`),
		strings.Repeat("x", 5000), status(`,"text":"` + strings.Repeat("y", 2000) + `"`), "no JSON", status(`,"emittedAt":"yesterday"`), status(""),
	}, "\n")
	report, err := client.CheckLines(t.Context(), strings.NewReader(input), check())
	if err != nil || report.Messages != 10 || report.Accepted != 4 || report.WithoutID != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	refused := map[messaging.Reason]int{}
	for _, result := range report.Refused {
		refused[result.Reason] = result.Messages
		for _, sample := range result.Samples {
			if len(sample.Beginning) > 900 || sample.Detail == "" {
				t.Errorf("sample %+v", sample)
			}
		}
	}
	for reason, want := range map[messaging.Reason]int{
		messaging.ReasonTooLarge: 2, messaging.ReasonSchemaViolation: 2, messaging.ReasonInvalidJSON: 1, messaging.ReasonIDConflict: 1,
	} {
		if refused[reason] != want {
			t.Errorf("%d refused as %s, want %d", refused[reason], reason, want)
		}
	}
	limited := check()
	limited.MaxMessages = 3
	if report, err := client.CheckLines(t.Context(), strings.NewReader(input), limited); err != nil || report.Messages != 3 {
		t.Errorf("with a limit: %+v, %v", report, err)
	}
}

// TestCheckSaysWhichIDsItDidNotCompare: the report of a long check says that ids were not
// compared.
func TestCheckSaysWhichIDsItDidNotCompare(t *testing.T) {
	t.Parallel()
	var input strings.Builder
	for n := range 100_002 {
		fmt.Fprintln(&input, status(fmt.Sprintf(`,"id":"%d"`, n)))
	}
	fmt.Fprintln(&input, status(`,"id":"7","more":1`))
	report, err := client.CheckLines(t.Context(), strings.NewReader(input.String()), check())
	if err != nil || report.NotCompared != 2 || report.Accepted != 100_002 || len(report.Refused) != 1 {
		t.Errorf("%d not compared of %d, %v", report.NotCompared, report.Messages, err)
	}
}

func TestCheckChannel(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	publisher := redis.Client()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	limited := check()
	limited.MaxMessages = 2
	type outcome struct {
		report client.CheckReport
		err    error
	}
	for _, judged := range []client.Check{limited, check()} {
		done := make(chan outcome, 1)
		go func() { // ends with its messages, or with ctx
			report, err := client.CheckChannel(ctx, redisdial.Config{URL: redis.URL()}, judged)
			done <- outcome{report, err}
		}()
		for deadline := time.Now().Add(30 * time.Second); publisher.Publish(t.Context(), messaging.EventsChannel, status("")).Val() == 0; {
			if time.Now().After(deadline) {
				t.Fatal("the check does not subscribe")
			}
		}
		publisher.Publish(t.Context(), messaging.EventsChannel, status(`,"id":7`))
		if judged.MaxMessages == 0 {
			cancel()
		}
		if got := <-done; got.err != nil || judged.MaxMessages > 0 && (got.report.Messages != 2 || got.report.Accepted != 1) {
			t.Errorf("%+v, %v", got.report, got.err)
		}
	}
	// If ctx ends before Redis has confirmed the subscription, the check ends without an error.
	if report, err := client.CheckChannel(ctx, redisdial.Config{URL: redis.URL()}, check()); err != nil || report.Messages != 0 {
		t.Errorf("after the end of its context: %+v, %v", report, err)
	}
	if _, err := client.CheckChannel(t.Context(), redisdial.Config{URL: "http://elsewhere"}, check()); err == nil {
		t.Error("an address that is no Redis URL was accepted")
	}
}

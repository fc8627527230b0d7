package faults

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/messaging"
)

func clockRows() []Row {
	return []Row{
		{
			Number: 17, Title: "clocks of producers ±1 h", InCI: true,
			System: System{Nodes: 1, Jobs: 1}, Run: skewProducers,
		},
		{
			Number: 17, Variant: "gateway", Title: "clocks of gateways ±1 h",
			System: System{Nodes: 1, Jobs: 1, Gateways: 3}, Run: skewGateways,
		},
	}
}

// skewProducers publishes events of producers whose clocks are an hour early or late.
func skewProducers(ctx context.Context, t *Trial) error {
	w := t.newHand()
	defer w.close()
	const events = 300
	for i := range events {
		skew := time.Duration(i%3-1) * time.Hour
		if err := w.publish(ctx, fmt.Sprint("skewed-", i), "", time.Now().Add(skew)); err != nil {
			return err
		}
	}
	t.Note("%d events said by emittedAt that they were an hour old, of now, or an hour ahead; their order is that of publishing", events)
	return t.fence(ctx)
}

// skewGateways runs one gateway of three with its clock an hour ahead and one with its
// clock an hour behind. All receive every event, which must be stored once and in order,
// and each uses its own clock to decide whether a token has expired.
func skewGateways(ctx context.Context, t *Trial) error {
	program, err := processes.BuildSkewed(ctx, t.Lab.Root(), filepath.Join(t.dir, "skewed"))
	if errors.Is(err, processes.ErrNoSkew) || ctx.Err() != nil {
		return Skip("%v", err)
	}
	if err != nil {
		return err
	}
	skews := map[int]time.Duration{1: time.Hour, 2: -time.Hour}
	for n, skew := range skews {
		if err := t.Gateways[n].Stop(ctx); err != nil {
			return err
		}
		t.Gateways[n].Replace(program)
		t.Gateways[n].Set(processes.SkewVariable, fmt.Sprint(int(skew.Seconds())))
		if err := t.Gateways[n].Start(ctx); err != nil {
			return err
		}
	}
	w := t.newHand()
	defer w.close()
	events, first, err := w.publishNew(ctx, "clock", 300)
	if err != nil {
		return err
	}
	if err := w.expectRepeats(ctx, events, first); err != nil {
		return err
	}
	t.Note("%d events, each received twice by three gateways, of which one is an hour ahead and one an hour behind, are stored once and in the order of publishing", len(first))
	for _, skew := range skews {
		if err := t.judgeTokens(ctx, program, skew); err != nil {
			return err
		}
	}
	t.Note("a token is valid until its exp by the clock of the gateway that checks it")
	return nil
}

// The token settings of row 17.
const (
	clockSecret   = "a secret of the fault run, of 32 bytes"
	clockIssuer   = "fault run"
	clockAudience = "lab"
)

// judgeTokens requests a stream from a gateway whose clock is off by skew, with tokens
// that expire around the time of that clock.
func (t *Trial) judgeTokens(ctx context.Context, program string, skew time.Duration) error {
	gateway, err := t.Lab.Gateway(map[string]string{
		"ROLES": "fanout", processes.SkewVariable: fmt.Sprint(int(skew.Seconds())),
		"AUTH_HMAC_SECRET": clockSecret, "AUTH_ISSUER": clockIssuer, "AUTH_AUDIENCE": clockAudience,
	})
	if err != nil {
		return err
	}
	gateway.Replace(program)
	if err := gateway.Start(ctx); err != nil {
		return err
	}
	defer gateway.Kill()
	for _, test := range []struct {
		left time.Duration // by the gateway's clock
		want int
	}{{30 * time.Minute, http.StatusOK}, {-30 * time.Minute, http.StatusUnauthorized}} {
		expiry := time.Now().Add(skew + test.left)
		status, err := askWithToken(ctx, gateway, t.jobs[0], signToken(expiry, t.jobs[0]))
		if err != nil {
			return err
		}
		if status != test.want {
			return fmt.Errorf("a gateway whose clock is off by %s answers %d to a token that expires in %s of its time, want %d", skew, status, test.left, test.want)
		}
	}
	return nil
}

// signToken returns a JWT (RFC 7519) for a job, signed with HS256.
func signToken(expiry time.Time, job string) string {
	claims, err := json.Marshal(map[string]any{
		"iss": clockIssuer, "aud": clockAudience, "sub": "row 17", "exp": expiry.Unix(), "jobs": []string{job},
	})
	if err != nil {
		panic(err) // strings and a number
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	mac := hmac.New(sha256.New, []byte(clockSecret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// askWithToken requests the stream of a job, and returns the status. A refusal that is
// not about the expiry is an error.
func askWithToken(ctx context.Context, gateway *processes.Process, job, token string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/api/realtime/jobs/%s/stream", gateway.Addr(), job), nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusUnauthorized {
		var refusal struct{ Code messaging.Code }
		if err := json.NewDecoder(response.Body).Decode(&refusal); err != nil {
			return 0, fmt.Errorf("read the refusal: %w", err)
		}
		if refusal.Code != messaging.CodeTokenExpired {
			return 0, fmt.Errorf("refused with %s", refusal.Code)
		}
	}
	return response.StatusCode, nil
}

package server

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestLateRenewalIsLogged: a certificate is logged when it is new, and once a day when it
// should have been renewed.
func TestLateRenewalIsLogged(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, nil))
	began := time.Now()
	look := certificateLook{ends: make(map[string]time.Time), told: make(map[string]time.Time)}
	for _, step := range []struct {
		after, lasts     time.Duration
		news, complaints int
	}{
		{0, 90 * day, 1, 0},
		{50 * day, 90 * day, 0, 0},
		{71 * day, 90 * day, 0, 1},
		{71*day + time.Hour, 90 * day, 0, 0},
		{72*day + time.Hour, 90 * day, 0, 1},
		{73 * day, 163 * day, 1, 0},
	} {
		text.Reset()
		look.at(logger, "a.example", &x509.Certificate{NotBefore: began, NotAfter: began.Add(step.lasts)}, began.Add(step.after))
		if news, complaints := strings.Count(text.String(), "there is a certificate"), strings.Count(text.String(), "is not renewed"); news != step.news || complaints != step.complaints {
			t.Errorf("after %s: %s", step.after, &text)
		}
	}
}

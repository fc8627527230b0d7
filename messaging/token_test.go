package messaging_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

func TestToken(t *testing.T) {
	t.Parallel()
	for jobID, want := range map[string]string{
		"job-42_A":                 "job-42_A",
		"a.b":                      "a=2Eb",
		"*":                        "=2A",
		">":                        "=3E",
		"a b\t\r\n":                "a=20b=09=0D=0A",
		"=":                        "=3D",
		"=2E":                      "=3D2E",
		"$JS.API":                  "=24JS=2EAPI",
		"é":                        "=C3=A9",
		"\x00\xff":                 "=00=FF",
		strings.Repeat(".", 256):   strings.Repeat("=2E", 256),
		"novel/events\\live:job?#": "novel=2Fevents=5Clive=3Ajob=3F=23",
	} {
		if got := messaging.Token(jobID); got != want {
			t.Errorf("token of %q is %q, want %q", jobID, got, want)
		}
		if got, err := messaging.ParseToken(want); err != nil || got != jobID {
			t.Errorf("parsed %q: got %q, %v, want %q", want, got, err, jobID)
		}
	}
}

func TestParseTokenRefusesWhatTokenNeverReturns(t *testing.T) {
	t.Parallel()
	for _, token := range []string{
		"", "=", "=2", "a=", "a=2", "=2e", "=GG", "=41", "=2D", "=5F", "=30", "==3D", "a.b", "*", ">", "a b", "é", "a\x00",
		strings.Repeat("a", 1000) + ".",
	} {
		got, err := messaging.ParseToken(token)
		if !errors.Is(err, messaging.ErrInvalidToken) || got != "" {
			t.Errorf("parsed %q: got %q, %v", token, got, err)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
}

func TestValidateJobID(t *testing.T) {
	t.Parallel()
	for jobID, want := range map[string]messaging.Code{
		"job-42":                       "",
		"a.*.> =/é😀\u2028":             "",
		strings.Repeat("a", 256):       "",
		strings.Repeat("é", 128):       "",
		"":                             messaging.CodeJobIDRequired,
		strings.Repeat("a", 257):       messaging.CodeJobIDInvalid,
		strings.Repeat("é", 128) + "a": messaging.CodeJobIDInvalid,
		strings.Repeat("a", 10_000):    messaging.CodeJobIDInvalid,
		"a\nb":                         messaging.CodeJobIDInvalid,
		"\x00":                         messaging.CodeJobIDInvalid,
		"a\x7f":                        messaging.CodeJobIDInvalid,
		"a\u0085":                      messaging.CodeJobIDInvalid,
		"a\xff":                        messaging.CodeJobIDInvalid,
		"\xed\xa0\x80":                 messaging.CodeJobIDInvalid,
	} {
		err := messaging.ValidateJobID(jobID)
		var invalid *messaging.JobIDError
		switch {
		case want == "":
			if err != nil {
				t.Errorf("%.40q: %v", jobID, err)
			}
		case !errors.As(err, &invalid) || invalid.Code != want:
			t.Errorf("%.40q: got %v, want %s", jobID, err, want)
		case len(err.Error()) > 120:
			t.Errorf("%.40q: the error repeats the jobId: %v", jobID, err)
		}
	}
}

func TestParsePosition(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]messaging.Position{
		"0":                       {},
		"1188":                    {Sequence: 1188},
		"e1:1188":                 {Epoch: "e1", Sequence: 1188},
		":7":                      {Sequence: 7},
		"e1:18446744073709551615": {Epoch: "e1", Sequence: 18446744073709551615},
	} {
		if got, err := messaging.ParsePosition(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":", "e1:", "e1", "-1", "+1", "1.5", "1e3", " 1", "1 ", "e1:1:2", "18446744073709551616", "0x1", "1_0"} {
		if got, err := messaging.ParsePosition(text); !errors.Is(err, messaging.ErrInvalidPosition) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

package messaging_test

import (
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

func TestKeyOfContent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind  messaging.Kind
		a, b  string
		equal bool
	}{
		"order of members": {messaging.KindDomain, `{"event":{"type":"t","n":1}}`, `{"version":1,"event":{"n":1,"type":"t"},"jobId":"j"}`, true},
		"forms of numbers": {messaging.KindGeneration, `{"event":{"n":[1.0,1e2,-0.0,0.10]}}`, `{"event":{"n":[1,100,0,1e-1]}}`, true},
		"past 53 bits":     {messaging.KindDomain, `{"event":{"n":9007199254740993}}`, `{"event":{"n":9007199254740992}}`, true},
		"escapes":          {messaging.KindDomain, `{"event":{"t":"\u00e9\/"}}`, `{"event":{"t":"é/"}}`, true},
		"repeated names":   {messaging.KindDomain, `{"event":{"n":1,"n":2}}`, `{"event":{"n":2}}`, true},
		"no number":        {messaging.KindDomain, `{"event":{"n":1e999}}`, `{"event":{"n":null}}`, true},
		"no snapshot":      {messaging.KindJobStatus, `{"status":"queued","snapshot":null}`, `{"status":"queued"}`, true},
		"more fields":      {messaging.KindJobStatus, `{"status":"queued","user":7}`, `{"status":"queued"}`, true},
		"another value":    {messaging.KindDomain, `{"event":{"n":1}}`, `{"event":{"n":2}}`, false},
		"text of a number": {messaging.KindDomain, `{"event":{"n":1}}`, `{"event":{"n":"1"}}`, false},
		"order of a list":  {messaging.KindDomain, `{"event":{"n":[1,2]}}`, `{"event":{"n":[2,1]}}`, false},
		"a null member":    {messaging.KindDomain, `{"event":{"n":null}}`, `{"event":{}}`, true},
		"both null":        {messaging.KindDomain, `{"event":{"n":null}}`, `{"event":{"n":null}}`, true},
		"null deeper":      {messaging.KindDomain, `{"event":{"a":[{"b":{"n":null},"c":1}]}}`, `{"event":{"a":[{"c":1,"b":{}}]}}`, true},
		"null in a status": {messaging.KindJobStatus, `{"status":"queued","snapshot":{"n":null}}`, `{"status":"queued","snapshot":{}}`, true},
		"null of a kind":   {"custom", `{"a":1,"b":null}`, `{"a":1}`, true},
		"null and no text": {messaging.KindDomain, `{"event":{"n":null}}`, `{"event":{"n":""}}`, false},
		"the text null":    {messaging.KindDomain, `{"event":{"n":"null"}}`, `{"event":{}}`, false},
		"an empty object":  {messaging.KindDomain, `{"event":{"n":{"m":null}}}`, `{"event":{}}`, false},
		"null in a list":   {messaging.KindDomain, `{"event":{"n":[1,null]}}`, `{"event":{"n":[1]}}`, false},
		"another status":   {messaging.KindJobStatus, `{"status":"queued"}`, `{"status":"running"}`, false},
		"another kind":     {"custom", `{"a":1,"id":"x"}`, `{"id":"y","a":1.0,"emittedAt":"z"}`, true},
		"split names":      {"custom", `{"a":{"b":1}}`, `{"a":{},"b":1}`, false},
	} {
		a, err := messaging.KeyOfContent(test.kind, []byte(test.a))
		if err != nil {
			t.Fatal(err)
		}
		b, err := messaging.KeyOfContent(test.kind, []byte(test.b))
		if err != nil || (a == b) != test.equal {
			t.Errorf("%s: equal is %v, want %v: %v", name, a == b, test.equal, err)
		}
	}
	for _, text := range []string{"", "null", "[1]", "x"} {
		if _, err := messaging.KeyOfContent(messaging.KindDomain, []byte(text)); err == nil {
			t.Errorf("%q has a key", text)
		}
	}
}

func FuzzKeyOfContent(f *testing.F) {
	f.Add("domain", []byte(`{"event":{"type":"t","n":[1,2.5,null,true,"x"]}}`))
	f.Add("custom", []byte(`{"a":{"b":1e999},"id":3}`))
	f.Fuzz(func(t *testing.T, kind string, envelope []byte) {
		a, errA := messaging.KeyOfContent(messaging.Kind(kind), envelope)
		b, errB := messaging.KeyOfContent(messaging.Kind(kind), envelope)
		if a != b || (errA == nil) != (errB == nil) {
			t.Error("not a function of its arguments")
		}
	})
}

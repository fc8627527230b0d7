package messaging_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

const receiptKey = messaging.ReceiptKey("a secret of producers and gateways")

func TestReceiptMessages(t *testing.T) {
	t.Parallel()
	receipt := messaging.Receipt{ID: "é/1", JobID: "job 7", Sequence: 42, Duplicate: true}
	refusal := messaging.Refusal{ID: "é/1", JobID: "job 7", Reason: messaging.ReasonIDConflict}
	for _, c := range []struct {
		file   string
		encode func() ([]byte, error)
	}{
		{"receipt.json", func() ([]byte, error) { return messaging.ReceiptKey("").Encode(receipt) }},
		{"receipt-signed.json", func() ([]byte, error) { return receiptKey.Encode(receipt) }},
		{"refusal.json", func() ([]byte, error) { return messaging.ReceiptKey("").EncodeRefusal(refusal) }},
		{"refusal-signed.json", func() ([]byte, error) { return receiptKey.EncodeRefusal(refusal) }},
	} {
		got, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", "v1", "receipts", c.file))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != strings.TrimSpace(string(want)) {
			t.Errorf("%s:\ngot  %s\nwant %s", c.file, got, want)
		}
	}
}

func TestReceiptsAreVerified(t *testing.T) {
	t.Parallel()
	receipt := messaging.Receipt{ID: "a", JobID: "job", Sequence: 7}
	signed, err := receiptKey.Encode(receipt)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := messaging.ReceiptKey("").Encode(receipt)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []messaging.ReceiptKey{receiptKey, ""} {
		if got, refusal, err := key.Decode(signed); err != nil || refusal != nil || got != receipt {
			t.Errorf("key %q: signed receipt = %+v, %v, %v", key, got, refusal, err)
		}
	}
	if _, _, err := receiptKey.Decode([]byte(`{"canary":"canary-1"}`)); !errors.Is(err, messaging.ErrCanary) {
		t.Errorf("a gateway's test message: %v", err)
	}
	for name, forged := range map[string]string{
		"no digest":        string(plain),
		"another sequence": strings.Replace(string(signed), `"sequence":7`, `"sequence":8`, 1),
		"another id":       strings.Replace(string(signed), `"id":"a"`, `"id":"b"`, 1),
		"another job":      strings.Replace(string(signed), `"jobId":"job"`, `"jobId":"jo"`, 1),
		"a refusal":        strings.Replace(string(signed), `"sequence":7,"duplicate":false`, `"error":"ID_CONFLICT"`, 1),
		"an error added":   strings.Replace(string(signed), `"sequence":7`, `"error":"ID_CONFLICT","sequence":7`, 1),
		"no object":        `[]`,
	} {
		if got, refusal, err := receiptKey.Decode([]byte(forged)); !errors.Is(err, messaging.ErrReceipt) {
			t.Errorf("%s: %+v, %v, %v", name, got, refusal, err)
		}
	}
}

// FuzzReceipt: any message is read or refused, and what is read is written the
// same again.
func FuzzReceipt(f *testing.F) {
	for _, seed := range []string{
		`{"id":"a","jobId":"j","sequence":1,"duplicate":false}`, `{"id":"a","jobId":"j","error":"ID_CONFLICT"}`,
		`{"id":"a","jobId":"j","sequence":0}`, `{}`, `null`, `{"id":1}`, `{"id":"a","jobId":"j","sequence":-1}`, `{"id":"a","jobId":"j","error":"a-B"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		receipt, refusal, err := messaging.ReceiptKey("").Decode(message)
		if err != nil {
			return
		}
		var signed []byte
		if refusal != nil {
			signed, err = receiptKey.EncodeRefusal(*refusal)
		} else {
			signed, err = receiptKey.Encode(receipt)
		}
		if err != nil {
			t.Fatal(err)
		}
		again, refusedAgain, err := receiptKey.Decode(signed)
		if err != nil || again != receipt || (refusal == nil) != (refusedAgain == nil) || refusal != nil && *refusal != *refusedAgain {
			t.Fatalf("%s came back as %+v, %v, %v", message, again, refusedAgain, err)
		}
	})
}
